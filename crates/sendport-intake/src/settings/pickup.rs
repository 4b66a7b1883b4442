//! `[intake.<name>]` with `kind = "pickup"` or `kind = "sendmail"`: a folder of message files.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sendport_core::byte_size::ByteSize;
use sendport_core::domain::{Address, domain_to_ascii};
use sendport_core::problem::Problem;
use serde::{Deserialize, Serialize};

use super::{AddressPattern, DomainPattern, any_domain, checks, limits};

/// How long a file of another program has to be unchanged where `settle_time` is not set.
const SETTLE_TIME: Duration = Duration::from_secs(2);

/// A folder from which message files are taken.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct PickupConfig {
    /// Where programs write message files.
    pub folder: PathBuf,
    /// Where refused files are moved to; without it the folder `badmail` beside `folder`.
    pub badmail: Option<PathBuf>,
    /// How long a file has to be unchanged before it is taken; without it two seconds. Not for `kind = "sendmail"`,
    /// whose files are complete when they have their name.
    #[serde(default, with = "humantime_serde")]
    pub settle_time: Option<Duration>,
    /// The name in `Received` and in Message-IDs; without it the host's fully qualified name.
    pub hostname: Option<String>,
    /// The domain of names without one, such as `root`; without it `hostname`.
    pub local_domain: Option<String>,
    /// Who gets messages to a name of `local_domain`.
    #[serde(default)]
    pub aliases: BTreeMap<String, Vec<Address>>,
    /// The send port of the messages, unless a sender has one of its own.
    pub send_port: String,
    /// Send ports by reverse-path: an address, a domain or `.domain`. The most specific one counts.
    #[serde(default)]
    pub send_port_by_sender: BTreeMap<AddressPattern, String>,
    /// Reverse-paths that programs may use: addresses, domains, `.domain`, or `*` for any.
    pub allow_senders: Vec<AddressPattern>,
    /// Accept the null reverse-path `<>`, which notifications have.
    #[serde(default)]
    pub allow_null_sender: bool,
    /// Domains that programs may send to, as for the SMTP server.
    #[serde(default = "any_domain")]
    pub allow_recipient_domains: Vec<DomainPattern>,
    /// Longest message; at most 900MB.
    #[serde(default = "limits::message_size")]
    pub max_message_size: ByteSize,
    /// Most recipients of one message; at most 10,000.
    #[serde(default = "limits::recipients")]
    pub max_recipients: u32,
    /// Most `Received` fields of a message; more are a loop.
    #[serde(default = "limits::hops")]
    pub hop_limit: u32,
}

impl PickupConfig {
    /// Where refused files are moved to.
    pub fn badmail(&self) -> PathBuf {
        let beside = || self.folder.with_file_name("badmail");
        self.badmail.clone().unwrap_or_else(beside)
    }

    /// Where files are while they are being committed: beside the folder, so that it is on the same disk. A link to the
    /// folder is resolved, so that there is one for all its names.
    pub fn taken(&self) -> PathBuf {
        let folder = self.folder.canonicalize();
        let folder = folder.unwrap_or_else(|_| self.folder.clone());
        let mut name = folder.file_name().unwrap_or_default().to_owned();
        name.push("-taken");
        folder.with_file_name(name)
    }

    /// How long a file has to be unchanged.
    pub fn settle_time(&self) -> Duration {
        self.settle_time.unwrap_or(SETTLE_TIME)
    }

    pub(super) fn files(&mut self) -> impl Iterator<Item = &mut PathBuf> {
        [Some(&mut self.folder), self.badmail.as_mut()]
            .into_iter()
            .flatten()
    }

    pub(super) fn problems(&self, is_sendmail: bool) -> Vec<Problem> {
        let mut problems = Vec::new();
        let mut add = |key: &str, what: String| problems.push(Problem::new(key, what));
        if self.folder.file_name().is_none() {
            add(
                "folder",
                "expected a folder such as \"/srv/mailroot/pickup\"".to_owned(),
            );
        }
        let same = |one: &Path, other: &Path| one.components().eq(other.components());
        let badmail = self.badmail();
        if same(&badmail, &self.folder) || same(&badmail, &self.taken()) {
            add(
                "badmail",
                "expected another folder than the one that files are taken from".to_owned(),
            );
        }
        for (key, name) in [
            ("hostname", &self.hostname),
            ("local_domain", &self.local_domain),
        ] {
            if let Some(Err(problem)) = name.as_deref().map(domain_to_ascii) {
                add(
                    key,
                    format!("expected a name such as \"contoso.com\": {problem}"),
                );
            }
        }
        if is_sendmail && self.settle_time.is_some() {
            let what = "it is not used with kind = \"sendmail\", whose files are complete when they have their name";
            add("settle_time", what.to_owned());
        }
        if self.settle_time() > Duration::from_secs(3600) {
            add("settle_time", "expected at most 1h".to_owned());
        }
        for (name, addresses) in &self.aliases {
            let key = format!("aliases.\"{}\"", name.escape_debug());
            if name.is_empty()
                || name.contains(|c: char| c == '@' || c.is_whitespace() || c.is_control())
            {
                add(
                    &key,
                    "expected a name without a domain, such as root".to_owned(),
                );
            }
            if addresses.is_empty() {
                add(&key, "expected at least one address, found none".to_owned());
            }
        }
        checks::check_counts(
            &[
                ("max_recipients", Some(self.max_recipients)),
                ("hop_limit", Some(self.hop_limit)),
            ],
            &mut problems,
        );
        checks::check_message(self.max_recipients, self.max_message_size, &mut problems);
        problems
    }
}
