//! Environment variables over the file: `SENDPORT__SECTION__KEY`. All other variables whose name begins with
//! `SENDPORT_` are free: a `*_env` key may name one, and the tests and the build have some.

use std::collections::{BTreeMap, BTreeSet};

use config::{Environment, Map, Source, Value, ValueKind};
use serde_json::Value as Json;

use super::key_origin::Mistake;
use super::load::DEFAULT_TOML;

const PREFIX: &str = "SENDPORT__";

/// The variables `SENDPORT__...`. One is a number or a truth value only where nothing of it
/// would be lost: `007` and `1.50` may be passwords. A list is written as in the file:
/// `["main", "spare"]`.
#[derive(Debug, Clone)]
pub(super) struct Variables {
    environment: Environment,
    /// Names in a test; `None`: those of this process.
    given: Option<Vec<String>>,
}

impl Variables {
    pub(super) fn of_this_process() -> Self {
        Self {
            environment: Environment::with_prefix("SENDPORT")
                .prefix_separator("__")
                .separator("__"),
            given: None,
        }
    }

    /// The names of all variables of the environment.
    pub(super) fn names(&self) -> Vec<String> {
        match &self.given {
            Some(names) => names.clone(),
            None => std::env::vars_os()
                .filter_map(|(name, _)| name.into_string().ok())
                .collect(),
        }
    }

    #[cfg(test)]
    pub(super) fn given(variables: &[(&str, &str)]) -> Self {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let given: Map<_, _> = variables.iter().map(owned).collect();
        Self {
            given: Some(given.keys().cloned().collect()),
            environment: Self::of_this_process().environment.source(Some(given)),
        }
    }
}

impl Source for Variables {
    fn clone_into_box(&self) -> Box<dyn Source + Send + Sync> {
        Box::new(self.clone())
    }

    fn collect(&self) -> Result<Map<String, Value>, config::ConfigError> {
        let mut variables = self.environment.collect()?;
        for value in variables.values_mut() {
            if let ValueKind::String(text) = &value.kind
                && let Some(kind) = as_list(text).or_else(|| as_number_or_truth(text))
            {
                value.kind = kind;
            }
        }
        Ok(variables)
    }
}

/// A TOML array of texts.
fn as_list(text: &str) -> Option<ValueKind> {
    #[derive(serde::Deserialize)]
    struct Line {
        list: Vec<String>,
    }
    if !text.trim_start().starts_with('[') {
        return None;
    }
    let line: Line = toml::from_str(&format!("list = {text}")).ok()?;
    let values = line.list.into_iter().map(|item| Value::new(None, item));
    Some(ValueKind::Array(values.collect()))
}

fn as_number_or_truth(text: &str) -> Option<ValueKind> {
    if let Ok(truth) = text.parse() {
        return Some(ValueKind::Boolean(truth));
    }
    let whole = text.parse::<i64>().ok().filter(|n| n.to_string() == text);
    let part = || {
        let number = text.parse::<f64>().ok()?;
        (number.is_finite() && number.to_string() == text).then_some(ValueKind::Float(number))
    };
    whole.map(ValueKind::I64).or_else(part)
}

/// The variables that set a key, by that key: `http.listen`.
#[derive(Debug, Clone, Default)]
pub struct SetVariables(BTreeMap<String, String>);

impl SetVariables {
    /// Those among all `names`.
    pub(super) fn new(names: &[String]) -> Self {
        let set = names.iter().filter_map(|name| {
            let name_in_capitals = name.to_uppercase();
            let key = name_in_capitals.strip_prefix(PREFIX)?;
            Some((key.to_lowercase().replace("__", "."), name.clone()))
        });
        Self(set.collect())
    }

    pub(super) fn keys(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// The variable that sets `key`, or the list or section that contains it.
    pub(super) fn name_of(&self, key: &str) -> Option<&str> {
        let contains = |of: &str| {
            key.strip_prefix(of)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        let (_, name) = self.0.iter().find(|(of, _)| contains(of))?;
        Some(name)
    }

    /// The key with the variable that sets it, if one does.
    pub fn with_origin(&self, key: &str) -> String {
        match self.name_of(key) {
            Some(name) => format!("{key} (variable {name})"),
            None => key.to_owned(),
        }
    }
}

/// Variables that are meant for a key and are not read, such as `SENDPORT_HTTP__LISTEN`. One whose name a key of
/// the configuration contains (`password_env`) is meant for that.
pub(super) fn misspelt(names: &[String], whole: &Json) -> Vec<Mistake> {
    let mut used = Vec::new();
    add_texts(whole, &mut used);
    let keys = known_keys();
    let sections: BTreeSet<_> = keys
        .iter()
        .filter_map(|key| key.split('.').next())
        .collect();
    let free = names.iter().filter(|name| !used.contains(&name.as_str()));
    let mistake = |name: &String| {
        let capitals = name.to_uppercase();
        let rest = capitals
            .strip_prefix("SENDPORT_")
            .filter(|_| !capitals.starts_with(PREFIX))?;
        let meant = meant_key(&rest.to_lowercase(), &keys, &sections)?;
        Some(Mistake {
            variable: Some(name.clone()),
            what: format!(
                "it is not read, because two underscores separate the parts of a name; write {PREFIX}{}",
                meant.to_uppercase()
            ),
        })
    };
    let mut found: Vec<_> = free.filter_map(mistake).collect();
    found.sort_by(|a, b| a.variable.cmp(&b.variable));
    found
}

/// The key that `rest` is likely meant for, with `__` between its parts.
fn meant_key(rest: &str, keys: &[String], sections: &BTreeSet<&str>) -> Option<String> {
    // A relay or a send port has any name, so one underscore may be part of it.
    let is_named = |key: &str| {
        ["relay.", "send_port."]
            .iter()
            .any(|it| key.starts_with(it))
    };
    let is_key = |key: &&String| key.replace('.', "_") == rest && !is_named(key);
    let in_section = |section: &&&str| {
        let below = rest.strip_prefix(**section);
        below.is_some_and(|below| below.starts_with('_') && below.contains("__"))
    };
    let known = keys.iter().find(is_key).map(|key| key.replace('.', "__"));
    known.or_else(|| {
        let section = sections
            .iter()
            .filter(in_section)
            .max_by_key(|it| it.len())?;
        let below = rest[section.len()..].trim_start_matches('_');
        Some(format!("{section}__{below}"))
    })
}

/// All texts of a configuration: a `*_env` key names a variable.
fn add_texts<'a>(value: &'a Json, texts: &mut Vec<&'a str>) {
    match value {
        Json::String(text) => texts.push(text),
        Json::Object(section) => section.values().for_each(|it| add_texts(it, texts)),
        _ => {}
    }
}

/// The keys of the reference, such as `http.listen`, those in its comments included.
fn known_keys() -> Vec<String> {
    let uncommented = DEFAULT_TOML
        .lines()
        .map(|line| line.strip_prefix("#: ").unwrap_or(line));
    let reference = toml::from_str(&uncommented.collect::<Vec<_>>().join("\n"));
    let mut keys = Vec::new();
    add_keys(&reference.unwrap_or_default(), "", &mut keys);
    keys
}

/// The keys of a section at `path`.
fn add_keys(value: &Json, path: &str, keys: &mut Vec<String>) {
    let Json::Object(section) = value else {
        keys.push(path.to_owned());
        return;
    };
    for (key, below) in section {
        let path = if path.is_empty() {
            key.clone()
        } else {
            format!("{path}.{key}")
        };
        add_keys(below, &path, keys);
    }
}
