//! Section `[feedback]`: what other mail systems report of messages.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use sendport_core::problem::Problem;
use sendport_core::secret::Secret;
use sendport_feedback::{TokenError, TokenKey, TokenKeys};
use serde::{Deserialize, Serialize};

use super::validate::{Problems, check_name};
use super::{Config, section};

/// Keys of return paths, and where reports are read from.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct FeedbackConfig {
    /// The first one makes return paths, all of them verify reports.
    pub return_path_keys: Vec<KeySource>,
    /// How long a report proves anything.
    #[serde(with = "humantime_serde")]
    pub return_path_valid_for: Duration,
    /// `[feedback.source.<name>]`
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub source: BTreeMap<String, FeedbackSource>,
}

/// Where a secret key is kept.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct KeySource {
    /// In this file.
    pub file: Option<PathBuf>,
    /// In this environment variable.
    pub env: Option<String>,
}

/// A folder that reports are read from.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct FeedbackSource {
    /// What the folder is.
    pub kind: SourceKind,
    /// The Maildir, or the folder of .eml files.
    pub folder: PathBuf,
    /// What happens to a report that is recorded.
    #[serde(default)]
    pub after: After,
    /// Where recorded reports are kept; without it `.Read` in the Maildir, `read` beside the folder.
    pub read: Option<PathBuf>,
    /// Where reports are kept that cannot be read; without it `.Badmail` in the Maildir, `badmail` beside the folder.
    pub badmail: Option<PathBuf>,
    /// How often the folder is looked at.
    #[serde(default = "poll_interval", with = "humantime_serde")]
    pub poll_interval: Duration,
}

/// What a folder is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum SourceKind {
    /// A Maildir: its folders `new` and `cur`.
    Maildir,
    /// A folder of .eml files.
    Folder,
}

/// What happens to a report that is recorded.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum After {
    /// It is kept in the folder `read`.
    #[default]
    Keep,
    /// It is deleted.
    Delete,
}

fn poll_interval() -> Duration {
    Duration::from_secs(5)
}

impl KeySource {
    /// The key.
    fn read(&self) -> Result<TokenKey, String> {
        let found = match (&self.file, &self.env) {
            (Some(_), Some(_)) => return Err("write file or env, not both".to_owned()),
            (file, env) => Secret::from_file_or_env(file.as_deref(), env.as_deref()),
        };
        let secret = found.map_err(|error| error.to_string())?;
        let secret = secret.ok_or("write { file = \"...\" } or { env = \"...\" }")?;
        TokenKey::new(secret.expose().trim().as_bytes()).map_err(|error| match error {
            TokenError::ShortKey(_) => {
                format!("{error}, for example the output of `openssl rand -base64 32`")
            }
            error => error.to_string(),
        })
    }
}

impl FeedbackSource {
    /// The folders that reports come from.
    pub fn inboxes(&self) -> Vec<PathBuf> {
        match self.kind {
            SourceKind::Maildir => ["new", "cur"].map(|it| self.folder.join(it)).into(),
            SourceKind::Folder => vec![self.folder.clone()],
        }
    }

    /// Where recorded reports are kept; `None`: they are deleted.
    pub fn read_folder(&self) -> Option<PathBuf> {
        let kept = || self.beside(self.read.as_deref(), ".Read", "read");
        (self.after == After::Keep).then(kept)
    }

    /// Where reports are kept that cannot be read.
    pub fn badmail(&self) -> PathBuf {
        self.beside(self.badmail.as_deref(), ".Badmail", "badmail")
    }

    fn beside(&self, written: Option<&Path>, in_maildir: &str, beside: &str) -> PathBuf {
        match (written, self.kind) {
            (Some(folder), _) => folder.to_owned(),
            // A folder of Maildir++ has its messages in `cur`.
            (None, SourceKind::Maildir) => self.folder.join(in_maildir).join("cur"),
            (None, SourceKind::Folder) => self.folder.with_file_name(beside),
        }
    }

    fn problems(&self, key: &str) -> Vec<Problem> {
        let mut found = Vec::new();
        if self.poll_interval < Duration::from_millis(100) {
            let what = "it is shorter than 100ms";
            found.push(Problem::new(format!("{key}.poll_interval"), what));
        }
        if self.folder.file_name().is_none() {
            let what = "expected a folder such as \"/var/mail/bounces/Maildir\"";
            found.push(Problem::new(format!("{key}.folder"), what));
        }
        if self.read.is_some() && self.after == After::Delete {
            let what = "it is not used with after = \"delete\"; remove one of the two";
            found.push(Problem::new(format!("{key}.read"), what));
        }
        let inboxes = self.inboxes();
        for (name, folder) in [
            ("read", self.read_folder()),
            ("badmail", Some(self.badmail())),
        ] {
            if folder.is_some_and(|it| inboxes.contains(&it)) {
                let what = "expected another folder than the one that reports are read from";
                found.push(Problem::new(format!("{key}.{name}"), what));
            }
        }
        found
    }
}

impl FeedbackConfig {
    /// The keys of return paths; `None`: there are none.
    ///
    /// # Errors
    /// The first one that cannot be used.
    pub fn keys(&self) -> Result<Option<Arc<TokenKeys>>, Problem> {
        let mut keys = Vec::new();
        for (index, source) in self.return_path_keys.iter().enumerate() {
            let key = format!("feedback.return_path_keys[{index}]");
            keys.push(source.read().map_err(|what| Problem::new(key, what))?);
        }
        Ok(TokenKeys::new(keys).ok().map(Arc::new))
    }

    /// Every path that it names.
    pub(super) fn files(&mut self) -> impl Iterator<Item = &mut PathBuf> {
        let keys = self
            .return_path_keys
            .iter_mut()
            .filter_map(|it| it.file.as_mut());
        let folders = self.source.values_mut().flat_map(|it| {
            let named = [it.read.as_mut(), it.badmail.as_mut()];
            named.into_iter().flatten().chain([&mut it.folder])
        });
        keys.chain(folders)
    }
}

impl Config {
    pub(super) fn check_feedback(&self, found: &mut Problems) {
        let feedback = &self.feedback;
        found.extend(feedback.keys().err());
        if feedback.return_path_valid_for < Duration::from_secs(24 * 3600) {
            let what =
                "reports of delays come after hours and bounces after days; write at least \"1d\"";
            found.add("feedback.return_path_valid_for", what);
        }
        let mut folders: BTreeMap<&Path, &str> = BTreeMap::new();
        for (name, source) in &feedback.source {
            let key = section("feedback.source", name);
            check_name(&key, name, found);
            found.extend(source.problems(&key));
            if let Some(other) = folders.insert(&source.folder, name) {
                let what = format!("[feedback.source.{other}] reads it already");
                found.add(format!("{key}.folder"), what);
            }
        }
        for (name, port) in &self.send_port {
            if port.return_path_token && feedback.return_path_keys.is_empty() {
                let what = "there is no key; write feedback.return_path_keys = [{ file = \"...\" }], a file with the \
                            output of `openssl rand -base64 32`";
                found.add(
                    format!("{}.return_path_token", section("send_port", name)),
                    what,
                );
            }
        }
    }

    pub(super) fn feedback_warnings(&self, found: &mut Problems) {
        let mut ports = self
            .send_port
            .iter()
            .filter(|(_, port)| port.return_path_token);
        match (ports.next(), self.feedback.source.is_empty()) {
            (Some((name, _)), true) => found.add(
                format!("{}.return_path_token", section("send_port", name)),
                "there is no [feedback.source.<name>], so nothing reads the reports",
            ),
            (None, false) => found.add(
                "feedback.source",
                "no send port has return_path_token = true, so no report proves what it is about",
            ),
            _ => {}
        }
    }
}
