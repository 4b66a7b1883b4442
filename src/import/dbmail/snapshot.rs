//! The document that `sendport import dbmail --print-script` makes a server print.

use serde::{Deserialize, Deserializer};

use super::super::source_text::{SourceTextError, decode};
use super::history::Item;

/// The version that this program reads.
const FORMAT: &str = "sendport-dbmail-1";

/// Why a file is no document of Database Mail's settings.
#[derive(Debug, thiserror::Error)]
pub enum DbMailError {
    /// Its encoding.
    #[error(transparent)]
    Text(#[from] SourceTextError),
    /// Something else was printed.
    #[error(
        "it contains no output of the script; run the script of `sendport import dbmail \
         --print-script` on the server, and save what it prints"
    )]
    NoDocument,
    /// Printed by another version of the script.
    #[error(
        "its format is '{0}', expected '{FORMAT}'; print the script of this version of sendport, and \
         run it again"
    )]
    Format(String),
    /// The output is incomplete, or was changed.
    #[error("the output of the script is incomplete or was changed: {0}; run the script again")]
    Document(#[from] serde_json::Error),
    /// Nothing can be imported.
    #[error("Database Mail has no profile on that server, or this login may not read it")]
    NoProfile,
}

/// The rows of msdb's tables, without passwords.
#[derive(Debug, Clone, Deserialize)]
pub struct Snapshot {
    #[serde(default)]
    pub(super) server: String,
    pub(super) profiles: Vec<Profile>,
    pub(super) accounts: Vec<Account>,
    pub(super) profile_accounts: Vec<ProfileAccount>,
    pub(super) principals: Vec<Principal>,
    pub(super) parameters: Vec<Parameter>,
    #[serde(default)]
    pub(super) items: Vec<Item>,
}

/// A row of `sysmail_profile`.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Profile {
    pub(super) profile_id: i64,
    pub(super) name: String,
    pub(super) description: Option<String>,
}

/// A row of `sysmail_account` with its `sysmail_server`.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Account {
    pub(super) account_id: i64,
    pub(super) name: String,
    pub(super) email_address: String,
    pub(super) display_name: Option<String>,
    pub(super) replyto_address: Option<String>,
    pub(super) servertype: Option<String>,
    pub(super) servername: Option<String>,
    pub(super) port: Option<i64>,
    pub(super) username: Option<String>,
    #[serde(default, deserialize_with = "flag")]
    pub(super) use_default_credentials: bool,
    #[serde(default, deserialize_with = "flag")]
    pub(super) enable_ssl: bool,
}

/// A row of `sysmail_profileaccount`.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct ProfileAccount {
    pub(super) profile_id: i64,
    pub(super) account_id: i64,
    pub(super) sequence_number: Option<i64>,
}

/// A row of `sysmail_principalprofile`, with the principal of its sid.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Principal {
    pub(super) profile_id: i64,
    #[serde(default, deserialize_with = "flag")]
    pub(super) is_default: bool,
    #[serde(default, deserialize_with = "flag")]
    pub(super) is_public: bool,
    pub(super) name: Option<String>,
    /// `type` of `sys.server_principals` or `sys.database_principals`.
    #[serde(rename = "type")]
    pub(super) kind: Option<String>,
}

/// A row of `sysmail_configuration`.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Parameter {
    pub(super) paramname: String,
    pub(super) paramvalue: String,
}

/// A bit: a number, or a truth value.
fn flag<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Bit {
        Truth(bool),
        Number(i64),
    }
    Ok(match Option::<Bit>::deserialize(deserializer)? {
        Some(Bit::Truth(truth)) => truth,
        Some(Bit::Number(number)) => number != 0,
        None => false,
    })
}

impl Snapshot {
    /// Reads what a client printed: lines of any length, in UTF-8 or UTF-16, with headings before the document
    /// and messages behind it.
    ///
    /// # Errors
    /// [`DbMailError`].
    pub fn read(bytes: &[u8]) -> Result<Self, DbMailError> {
        let printed = decode(bytes)?;
        // No line of the document ends with a blank: these are a client's padding.
        let text: String = printed
            .lines()
            .map(|line| line.trim_end_matches(' '))
            .collect();
        let begins = text.find('{').ok_or(DbMailError::NoDocument)?;
        let document = serde_json::Deserializer::from_str(&text[begins..])
            .into_iter::<serde_json::Value>()
            .next()
            .ok_or(DbMailError::NoDocument)??;
        let format = document["format"].as_str().ok_or(DbMailError::NoDocument)?;
        if format != FORMAT {
            return Err(DbMailError::Format(format.to_owned()));
        }
        let snapshot: Self = serde_json::from_value(document)?;
        match snapshot.profiles.is_empty() {
            true => Err(DbMailError::NoProfile),
            false => Ok(snapshot),
        }
    }

    /// The accounts of a profile, in the order in which Database Mail tries them.
    pub(super) fn accounts_of(&self, profile_id: i64) -> Vec<&Account> {
        let of_profile = self.profile_accounts.iter();
        let mut rows: Vec<_> = of_profile
            .filter(|row| row.profile_id == profile_id)
            .collect();
        rows.sort_by_key(|row| (row.sequence_number, row.account_id));
        rows.iter()
            .filter_map(|row| self.account(row.account_id))
            .collect()
    }

    pub(super) fn account(&self, account_id: i64) -> Option<&Account> {
        let mut of_id = self
            .accounts
            .iter()
            .filter(|it| it.account_id == account_id);
        let is_smtp = |it: &&Account| {
            let kind = it.servertype.as_deref();
            kind.is_none_or(|kind| kind.eq_ignore_ascii_case("SMTP"))
        };
        of_id.clone().find(is_smtp).or_else(|| of_id.next())
    }
}
