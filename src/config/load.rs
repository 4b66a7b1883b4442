//! Layers, and the errors that a person can act on.

use std::path::{Path, PathBuf};

use config::{File, FileFormat};
use regex::Regex;
use sendport_core::problem::Problem;
use sendport_smtp::settings::relay::RelayConfig;

use super::Config;
use super::key_origin::{self, Mistake};
use super::variables::{SetVariables, Variables, misspelt};

/// The lowest layer, and the reference of every key.
pub const DEFAULT_TOML: &str = include_str!("../../config/default.toml");

/// Where a configuration file is looked for if none is named, in this order.
pub const USUAL_FILES: [&str; 2] = ["sendport.toml", "/etc/sendport/sendport.toml"];

/// A configuration to start from, which works unchanged.
pub const START_TOML: &str = include_str!("../../config/start.toml");

/// Why there is no usable configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file that was named is not there.
    #[error("the configuration file {} cannot be read: {source}", .path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A value or a key is not understood.
    #[error("{0}")]
    Content(String),
    /// Understood, but it cannot work.
    #[error("the configuration cannot work:{}", list(.0))]
    Problems(Vec<Problem>),
}

/// What is wrong before the whole makes a [`Config`].
#[derive(Debug, thiserror::Error)]
pub(super) enum LayerError {
    /// A layer is no TOML, or cannot be put over the one below.
    #[error(transparent)]
    Reader(#[from] config::ConfigError),
    /// Wrong keys and values, in the order of their keys.
    #[error("{}", in_lines(.0))]
    Mistakes(Vec<Mistake>),
}

fn list(problems: &[Problem]) -> String {
    problems
        .iter()
        .map(|problem| format!("\n  {problem}"))
        .collect()
}

impl Config {
    /// The compiled-in defaults, `file` over them, `SENDPORT__...` of the environment over
    /// that. Relative paths in the file are relative to the file's folder.
    ///
    /// # Errors
    /// [`ConfigError`] naming file, key and what to write instead. Does not check whether
    /// the whole makes sense: see [`Config::problems`].
    pub fn load(file: Option<&Path>) -> Result<Self, ConfigError> {
        let text = file.map(read).transpose()?;
        let mut config = Self::from_layers(text.as_deref(), Some(Variables::of_this_process()))
            .map_err(|error| ConfigError::Content(explain(&error, file)))?;
        if let Some(folder) = file.and_then(Path::parent) {
            config.rebase(folder);
        }
        config.file = file.map(Path::to_owned);
        Ok(config)
    }

    /// The defaults with `text` over them, nothing of the environment.
    ///
    /// # Errors
    /// [`ConfigError::Content`].
    pub fn from_text(text: &str) -> Result<Self, ConfigError> {
        Self::from_layers(Some(text), None)
            .map_err(|error| ConfigError::Content(explain(&error, None)))
    }

    pub(super) fn from_layers(
        text: Option<&str>,
        environment: Option<Variables>,
    ) -> Result<Self, LayerError> {
        let defaults = File::from_str(DEFAULT_TOML, FileFormat::Toml);
        let mut builder = config::Config::builder().add_source(defaults.clone());
        if let Some(text) = text {
            builder = builder.add_source(File::from_str(text, FileFormat::Toml));
        }
        let names = environment.as_ref().map_or(Vec::new(), Variables::names);
        let variables = SetVariables::new(&names);
        if let Some(environment) = environment {
            builder = builder.add_source(environment);
        }
        let whole: serde_json::Value = builder.build()?.try_deserialize()?;
        let defaults = config::Config::builder().add_source(defaults).build()?;
        let defaults = defaults.try_deserialize()?;
        let not_read = misspelt(&names, &whole);
        let read = key_origin::read(whole, &defaults, &variables);
        let mut config = match read {
            Ok(config) if not_read.is_empty() => config,
            read => {
                let wrong = read.err().unwrap_or_default().into_iter();
                return Err(LayerError::Mistakes(wrong.chain(not_read).collect()));
            }
        };
        config.variables = variables;
        Ok(config)
    }

    /// A relative path in a file means: beside that file.
    fn rebase(&mut self, folder: &Path) {
        let rebase = |path: &mut PathBuf| {
            if path.is_relative() && !path.as_os_str().is_empty() {
                *path = folder.join(&*path);
            }
        };
        rebase(&mut self.templates.folder);
        rebase(&mut self.service.state_folder);
        rebase(&mut self.replies.file);
        self.database.connection_file.as_mut().map(rebase);
        for relay in self.relay.values_mut() {
            match relay {
                RelayConfig::Smtp(smtp) => {
                    smtp.files().for_each(rebase);
                    if let Some(oauth2) = &mut smtp.auth.oauth2 {
                        oauth2.rebase(folder);
                    }
                }
                RelayConfig::Mx(mx) => mx.files().for_each(rebase),
                RelayConfig::Graph(graph) => {
                    graph.ca_file.as_mut().map(rebase);
                    graph.auth.oauth2.rebase(folder);
                }
                RelayConfig::File(file) => rebase(&mut file.folder),
                RelayConfig::Discard(_) => {}
            }
        }
        for port in self.send_port.values_mut() {
            let audit = port.audit.iter_mut().flat_map(|it| &mut it.folder);
            let signing = port.signing.iter_mut().flat_map(|it| it.files());
            let encryption = port.encryption.iter_mut().flat_map(|it| it.paths());
            let files = port.attachments.folders.iter_mut();
            let files = files.map(|it| &mut it.folder);
            let dkim = port.dkim.values_mut().map(|it| &mut it.key_file);
            let own = audit.chain(signing).chain(encryption).chain(dkim);
            own.chain(files).for_each(rebase);
        }
        for intake in self.intake.values_mut() {
            intake.files().into_iter().for_each(rebase);
        }
        self.feedback.files().for_each(rebase);
        self.database.rebase(folder);
    }
}

fn read(path: &Path) -> Result<String, ConfigError> {
    std::fs::read_to_string(path).map_err(|source| ConfigError::File {
        path: path.to_owned(),
        source,
    })
}

/// One mistake in the line of its file, several below it; for an unknown key the nearest known one.
fn in_lines(mistakes: &[Mistake]) -> String {
    let whole = |mistake: &Mistake| format!("{mistake}{}", suggestion(&mistake.what));
    let mut lines: Vec<_> = mistakes.iter().map(whole).collect();
    if mistakes.len() > 1 {
        let are_of_variables = mistakes.iter().all(|it| it.variable.is_some());
        let kind = if are_of_variables {
            "environment variables"
        } else {
            "keys"
        };
        lines.insert(0, format!("{} {kind} are wrong", mistakes.len()));
    }
    lines.join("\n")
}

/// The error with its file, unless it is one of environment variables alone.
fn explain(error: &LayerError, file: Option<&Path>) -> String {
    let is_in_file = match error {
        LayerError::Reader(_) => true,
        LayerError::Mistakes(mistakes) => mistakes.iter().any(|it| it.variable.is_none()),
    };
    let text = without_secrets(&error.to_string());
    match file.filter(|_| is_in_file) {
        Some(file) => format!("{}: {text}", file.display()),
        None => text,
    }
}

/// What a TOML error quotes of the file, without the lines that may hold a secret.
fn without_secrets(message: &str) -> String {
    let may_hold_one = |line: &str| {
        let quoted = line.split_once(" | ").map(|(_, text)| text.to_lowercase());
        let signs = ["passw", "connection", "secret", "token"];
        quoted.is_some_and(|text| signs.iter().any(|sign| text.contains(sign)))
    };
    let shown = |line| match may_hold_one(line) {
        true => "  | (not shown, it may hold a secret)",
        false => line,
    };
    message.lines().map(shown).collect::<Vec<_>>().join("\n")
}

fn suggestion(message: &str) -> String {
    let Ok(quoted) = Regex::new("`([^`]+)`") else {
        return String::new();
    };
    if !message.contains("unknown field") && !message.contains("unknown variant") {
        return String::new();
    }
    let mut names = quoted
        .captures_iter(message)
        .map(|found| found[1].to_owned());
    let Some(unknown) = names.next() else {
        return String::new();
    };
    names
        .map(|known| (strsim::jaro_winkler(&unknown, &known), known))
        .filter(|(likeness, _)| *likeness > 0.75)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map_or(String::new(), |(_, known)| {
            format!("\n  did you mean `{known}`?")
        })
}
