//! Which key a value that is not understood stands at. What reads a section that is told apart by a
//! key (`kind`, `source`) knows the section alone: here the whole is read again without each key,
//! until one is found that the error goes with.

use serde_json::Value;

use super::Config;

/// An error of reading a configuration, by its key.
pub(super) struct Blame {
    /// Such as `relay.main.port`; empty where no key is to blame.
    path: Vec<String>,
    /// The reader's words, without its key.
    words: String,
    /// What stands at the key.
    found: Option<Value>,
}

impl Blame {
    /// Who is to blame for what `error` says of the whole.
    pub(super) fn find(whole: &Value, error: &config::ConfigError) -> Self {
        let words = without_key(&error.to_string());
        let mut path: Vec<String> = Vec::new();
        let mut place = whole;
        let is_missing = words.starts_with("missing field");
        while let Value::Object(section) = place {
            let keys = section.keys();
            let blamed = keys.filter_map(|key| Some((doubt(whole, &path, key, &words)?, key)));
            // What is missing is to blame itself; a section without its last key is not there.
            let blamed = blamed.filter(|(doubt, _)| !is_missing || *doubt == 0);
            let blamed = blamed.filter(|(_, key)| !is_missing || section[*key].is_object());
            let Some((_, key)) = blamed.min_by_key(|(doubt, _)| *doubt) else {
                break;
            };
            path.push(key.clone());
            place = &section[key];
        }
        let found = (!path.is_empty()).then(|| place.clone());
        let words = with_choices(&words, whole).unwrap_or(words);
        Self { path, words, found }
    }

    /// The key, what was expected there and what was found.
    pub(super) fn in_words(&self) -> String {
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
            false => format!("{}: {what}", key.join(".")),
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
        format!("expected {}, found {found}", plain_type(expected))
    }

    fn may_be_secret(&self) -> bool {
        let signs = ["passw", "secret", "token", "connection", "auth"];
        let is_sign = |key: &String| signs.iter().any(|sign| key.contains(sign));
        self.path.iter().any(is_sign)
    }
}

/// How little it says that the error goes with this key; `None` where it stays. One that a section
/// cannot be without changes the error in any case, and one that tells sections apart all the more.
fn doubt(whole: &Value, path: &[String], key: &String, words: &str) -> Option<u8> {
    let pointer = [path, std::slice::from_ref(key)].concat();
    match error_without(whole, &pointer) {
        Some(same) if same == words => None,
        Some(other) if other == format!("missing field `{key}`") => {
            Some(1 + u8::from(["kind", "source"].contains(&key.as_str())))
        }
        _ => Some(0),
    }
}

/// The words that can stand where another one was found.
fn with_choices(words: &str, whole: &Value) -> Option<String> {
    if !words.contains(" does not have variant constructor ") {
        return None;
    }
    let again = serde_json::from_value::<Config>(whole.clone()).err()?;
    Some(again.to_string()).filter(|text| text.starts_with("unknown variant"))
}

/// The words of the error that is left without a key; `None` where none is.
fn error_without(whole: &Value, path: &[String]) -> Option<String> {
    let mut rest = whole.clone();
    let (last, sections) = path.split_last()?;
    let mut place = &mut rest;
    for section in sections {
        place = place.get_mut(section)?;
    }
    place.as_object_mut()?.remove(last);
    let read = config::Config::try_from(&rest).and_then(config::Config::try_deserialize::<Config>);
    read.err().map(|error| without_key(&error.to_string()))
}

/// The layers' reader puts the key that it knows at the end, or calls it a configuration field.
fn without_key(said: &str) -> String {
    if let Some(path) = quoted_after(said, "missing configuration field \"") {
        let path = path.trim_end_matches('"');
        let field = path.rsplit('.').next().unwrap_or_default();
        return format!("missing field `{field}`");
    }
    let words = said.split(" for key `").next().unwrap_or_default();
    words.to_owned()
}

fn quoted_after<'a>(text: &'a str, before: &str) -> Option<&'a str> {
    let (_, quoted) = text.split_once(before)?;
    quoted.split(['`', '"']).next()
}

/// What Rust calls a type, in words of TOML.
fn plain_type(expected: &str) -> String {
    let most = |max: u64| format!("a number from 0 to {max}");
    match expected.trim() {
        "u8" => most(u64::from(u8::MAX)),
        "u16" => most(u64::from(u16::MAX)),
        "u32" => most(u64::from(u32::MAX)),
        "u64" | "usize" => "a number, 0 or more".to_owned(),
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

fn shown(found: &Value) -> String {
    match found {
        Value::String(text) => format!("text {text:?}"),
        Value::Array(_) => "a list".to_owned(),
        Value::Object(_) => "a section".to_owned(),
        other => other.to_string(),
    }
}
