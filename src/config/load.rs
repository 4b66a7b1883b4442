//! Layers, and the errors that a person can act on.

use std::path::{Path, PathBuf};

use config::{Environment, File, FileFormat};
use regex::Regex;

use super::{Config, Problem};

/// The lowest layer, and the reference of every key.
pub const DEFAULT_TOML: &str = include_str!("../../config/default.toml");

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
        let environment = Environment::with_prefix("SENDPORT")
            .prefix_separator("__")
            .separator("__")
            .try_parsing(true);
        let mut config = Self::from_layers(text.as_deref(), Some(environment))
            .map_err(|error| ConfigError::Content(explain(&error, file)))?;
        if let Some(folder) = file.and_then(Path::parent) {
            config.rebase(folder);
        }
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

    fn from_layers(
        text: Option<&str>,
        environment: Option<Environment>,
    ) -> Result<Self, config::ConfigError> {
        let mut builder =
            config::Config::builder().add_source(File::from_str(DEFAULT_TOML, FileFormat::Toml));
        if let Some(text) = text {
            builder = builder.add_source(File::from_str(text, FileFormat::Toml));
        }
        if let Some(environment) = environment {
            builder = builder.add_source(environment);
        }
        builder.build()?.try_deserialize()
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
        self.database.connection_file.as_mut().map(rebase);
        for relay in self.relay.values_mut() {
            match relay {
                super::RelayConfig::Smtp(smtp) => {
                    smtp.ca_file.as_mut().map(rebase);
                    smtp.auth.password_file.as_mut().map(rebase);
                }
                super::RelayConfig::File(file) => rebase(&mut file.folder),
                super::RelayConfig::Discard(_) => {}
            }
        }
        self.database.rebase(folder);
    }
}

fn read(path: &Path) -> Result<String, ConfigError> {
    std::fs::read_to_string(path).map_err(|source| ConfigError::File {
        path: path.to_owned(),
        source,
    })
}

/// The error with its file, and for an unknown key the nearest known one.
fn explain(error: &config::ConfigError, file: Option<&Path>) -> String {
    let text = error.to_string();
    let place = file.map_or(String::new(), |file| format!("{}: ", file.display()));
    format!("{place}{text}{}", suggestion(&text))
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
