//! Reads the layers and names every wrong key. The deserializer of a section that is tagged by a key
//! (`kind`, `source`) reports the section alone. So every key is removed without which the first error
//! remains: the rest is the wrong key, and the keys that the section requires.

use std::fmt;

use sendport_core::domain::shown_name;
use serde::Deserialize;
use serde_json::Value;

use super::Config;
use super::variables::SetVariables;

/// Something wrong in a configuration.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Mistake {
    /// The environment variable that has it; `None`: the file.
    pub(super) variable: Option<String>,
    /// The key, what was expected and what was found.
    pub(super) what: String,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.variable {
            Some(variable) => write!(f, "{variable}: {}", self.what),
            None => f.write_str(&self.what),
        }
    }
}

/// An error in a configuration, with its key.
struct KeyOrigin {
    /// Such as `relay.main.port`; empty if no single key is wrong.
    path: Vec<String>,
    /// The text of the deserializer.
    words: String,
    /// The value of the key.
    found: Option<Value>,
}

/// The configuration that `whole` is. `variables` of the environment set some of its keys, to what is text
/// for the one key and a number or a truth value for the other.
///
/// # Errors
/// The mistakes, in the order of their keys.
pub(super) fn read(
    mut whole: Value,
    defaults: &Value,
    variables: &SetVariables,
) -> Result<Config, Vec<Mistake>> {
    let mut untried: Vec<_> = variables.keys().collect();
    let (mut mistakes, mut misspelled) = (Vec::new(), Vec::new());
    loop {
        let words = match Config::deserialize(&whole) {
            Ok(config) if mistakes.is_empty() => return Ok(config),
            Ok(_) => return Err(mistakes),
            Err(error) => error.to_string(),
        };
        let blame = KeyOrigin::find(&whole, &words);
        let key = blame.path.join(".");
        if let Some(at) = untried.iter().position(|it| *it == key) {
            untried.swap_remove(at);
            if let Some(place) = whole.pointer_mut(&pointer(&blame.path)) {
                read_otherwise(place);
            }
            continue;
        }
        let is_unknown = blame.words.starts_with("unknown field");
        // A missing key beside an unknown one is probably that key misspelt.
        if !(blame.is_missing() && misspelled.contains(&blame.path)) {
            let mistake = Mistake {
                variable: variables.name_of(&key).map(str::to_owned),
                what: blame.in_words(),
            };
            let is_new = !mistakes.contains(&mistake);
            mistakes.extend(is_new.then_some(mistake));
            if !is_new {
                return Err(mistakes);
            }
        }
        if blame.path.is_empty() {
            return Err(mistakes);
        }
        if let Some((_, section)) = blame.path.split_last().filter(|_| is_unknown) {
            misspelled.push(section.to_vec());
        }
        put_right(&mut whole, defaults, &blame.path);
    }
}

/// A variable's number as text, or its text as a number or a truth value.
fn read_otherwise(place: &mut Value) {
    match place {
        Value::Number(_) | Value::Bool(_) => *place = place.to_string().into(),
        Value::String(text) => {
            let truth = text.to_lowercase().parse::<bool>().map(Value::from);
            let whole = || text.parse::<i64>().map(Value::from);
            let part = || text.parse::<f64>().map(Value::from);
            if let Ok(value) = truth.or_else(|_| whole()).or_else(|_| part()) {
                *place = value;
            }
        }
        _ => {}
    }
}

/// Replaces a wrong value by its default; without a default the key is removed, or the section that
/// requires it.
fn put_right(whole: &mut Value, defaults: &Value, path: &[String]) {
    let Some((last, sections)) = path.split_last() else {
        return;
    };
    let Some(Value::Object(section)) = whole.pointer_mut(&pointer(sections)) else {
        return;
    };
    match defaults.pointer(&pointer(path)) {
        Some(default) => drop(section.insert(last.clone(), default.clone())),
        None => drop(section.remove(last)),
    }
    if error_of(whole) == Some(format!("missing field `{last}`")) {
        put_right(whole, defaults, sections);
    }
}

/// As TOML has it: a name with a blank in quotation marks.
fn shown_key(path: &[String]) -> String {
    let keys: Vec<_> = path.iter().map(|key| shown_name(key)).collect();
    keys.join(".")
}

fn pointer(path: &[String]) -> String {
    let escaped = |key: &String| format!("/{}", key.replace('~', "~0").replace('/', "~1"));
    path.iter().map(escaped).collect()
}

fn error_of(whole: &Value) -> Option<String> {
    Config::deserialize(whole)
        .err()
        .map(|error| error.to_string())
}

/// Takes away below `path` what `words` are said without, the last first.
fn reduce(whole: &mut Value, path: &[String], words: &str) {
    let Some(Value::Object(section)) = whole.pointer(&pointer(path)) else {
        return;
    };
    let keys: Vec<_> = section.keys().rev().cloned().collect();
    for key in keys {
        let Some(Value::Object(section)) = whole.pointer_mut(&pointer(path)) else {
            return;
        };
        let Some(value) = section.remove(&key) else {
            continue;
        };
        if error_of(whole).as_deref() == Some(words) {
            continue;
        }
        if let Some(Value::Object(section)) = whole.pointer_mut(&pointer(path)) {
            section.insert(key.clone(), value);
        }
        reduce(whole, &[path, &[key]].concat(), words);
    }
}

impl KeyOrigin {
    /// The source (file or variable) of the first error of the whole, which has this text.
    fn find(whole: &Value, words: &str) -> Self {
        let mut rest = whole.clone();
        reduce(&mut rest, &[], words);
        let mut path: Vec<String> = Vec::new();
        let mut place = &rest;
        let is_missing = words.starts_with("missing field");
        while let Value::Object(section) = place {
            let keys = section.keys();
            let blamed = keys.filter_map(|key| Some((doubt(&rest, &path, key, words)?, key)));
            // What is missing is to blame itself; a section without its last key is not there.
            let blamed = blamed.filter(|(doubt, _)| !is_missing || *doubt == 0);
            let blamed = blamed.filter(|(_, key)| !is_missing || section[*key].is_object());
            let Some((_, key)) = blamed.min_by_key(|(doubt, _)| *doubt) else {
                break;
            };
            path.push(key.clone());
            place = &section[key];
        }
        let found = whole.pointer(&pointer(&path)).filter(|_| !path.is_empty());
        Self {
            words: words.to_owned(),
            found: found.cloned(),
            path,
        }
    }

    fn is_missing(&self) -> bool {
        self.words.starts_with("missing field")
    }

    /// The key, what was expected there and what was found.
    fn in_words(&self) -> String {
        if self.words == "missing field `source`" {
            return format!(
                "{}: source is missing; expected \"file\", \"command\", \"client_credentials\" or \
                 \"refresh_token\"",
                shown_key(&self.path)
            );
        }
        let (key, what) = match quoted_after(&self.words, "missing field `") {
            Some(field) => {
                let last = self.path.last().map(String::as_str);
                let below = (last != Some(field)).then(|| field.to_owned());
                let key: Vec<_> = self.path.iter().cloned().chain(below).collect();
                (key, "it is missing".to_owned())
            }
            None => (self.path.clone(), self.expected()),
        };
        match key.is_empty() {
            true => what,
            false => format!("{}: {what}", shown_key(&key)),
        }
    }

    /// The reader says `invalid type: string "25395", expected u16`.
    fn expected(&self) -> String {
        let (Some(found), Some((invalid, expected))) =
            (&self.found, self.words.split_once(", expected "))
        else {
            return self.words.clone();
        };
        if !invalid.starts_with("invalid ") {
            return self.words.clone();
        }
        let found = match self.may_be_secret() {
            true => "something else (not shown, it may hold a secret)".to_owned(),
            false => shown(found),
        };
        let of_an_item =
            found_item(&self.words).filter(|_| matches!(&self.found, Some(Value::Array(_))));
        if let Some(item) = of_an_item.filter(|_| !self.may_be_secret()) {
            return format!(
                "expected {} in each place of the list, found {item}",
                plain_type(expected)
            );
        }
        format!("expected {}, found {found}", plain_type(expected))
    }

    fn may_be_secret(&self) -> bool {
        let signs = ["passw", "secret", "token"];
        let is_sign = |key: &String| {
            ["auth", "connection"].contains(&key.as_str())
                || signs.iter().any(|sign| key.contains(sign))
        };
        let is_public = matches!(&self.found, Some(Value::Number(_) | Value::Bool(_)))
            && self.path.last().is_some_and(|key| !is_sign(key));
        !is_public && self.path.iter().any(is_sign)
    }
}

/// How little it says that the error goes with this key; `None` where it stays. One that a section
/// cannot be without changes the error in any case, and one that tells sections apart all the more.
fn doubt(whole: &Value, path: &[String], key: &String, words: &str) -> Option<u8> {
    let path = [path, std::slice::from_ref(key)].concat();
    match error_without(whole, &path) {
        Some(same) if same == words => None,
        Some(other) if other == format!("missing field `{key}`") => {
            Some(1 + u8::from(["kind", "source"].contains(&key.as_str())))
        }
        _ => Some(0),
    }
}

/// The words of the error that is left without a key; `None` where none is.
fn error_without(whole: &Value, path: &[String]) -> Option<String> {
    let mut rest = whole.clone();
    let (last, sections) = path.split_last()?;
    let section = rest.pointer_mut(&pointer(sections))?;
    section.as_object_mut()?.remove(last);
    error_of(&rest)
}

fn quoted_after<'a>(text: &'a str, before: &str) -> Option<&'a str> {
    let (_, quoted) = text.split_once(before)?;
    quoted.split(['`', '"']).next()
}

/// What Rust calls a type, in words of TOML.
fn plain_type(expected: &str) -> String {
    // Not "from 0", which some keys refuse.
    let most = |max: u64| format!("a positive number up to {max}");
    match expected.trim() {
        "u8" => most(u64::from(u8::MAX)),
        "u16" => most(u64::from(u16::MAX)),
        "u32" => most(u64::from(u32::MAX)),
        "u64" | "usize" => "a positive number".to_owned(),
        "i64" | "isize" | "an integer" => "a number".to_owned(),
        "f64" | "a floating point" => "a number such as 0.2".to_owned(),
        "a boolean" | "a bool" => "true or false".to_owned(),
        "a string" => "a text".to_owned(),
        "a sequence" => "a list, such as [\"one\", \"two\"]".to_owned(),
        "a duration" => "a time, such as \"30s\", \"5m\" or \"2d\"".to_owned(),
        words if words.starts_with("struct ") || words == "a map" => "a section".to_owned(),
        words => words.to_owned(),
    }
}

/// What the reader found, where it is no list: one of its items.
fn found_item(words: &str) -> Option<&str> {
    let (invalid, _) = words.split_once(", expected ")?;
    let (_, item) = invalid.split_once(": ")?;
    (item != "sequence").then_some(item)
}

fn shown(found: &Value) -> String {
    match found {
        Value::String(text) => format!("text {text:?}"),
        Value::Array(_) => "a list".to_owned(),
        Value::Object(_) => "a section".to_owned(),
        other => other.to_string(),
    }
}
