//! The column Headers: header fields that an application adds.

use serde_json::Value;

use super::header::{HeaderSection, longest_word};
use super::{MimeError, guard};

/// Most headers of one alert.
const MOST_HEADERS: usize = 100;
/// Longest value, in octets. Servers have limits too; Postfix's is 100 KiB for one header.
const LONGEST_VALUE: usize = 16 * 1024;

/// The setting of a send port.
const AUTO_SUBMITTED: &str = "auto_submitted";

/// Headers that sendport or a mail server writes, with the column or the setting to use instead. No
/// policy can allow them.
const RESERVED: &[(&str, &str)] = &[
    ("From", "FromAddress"),
    ("Sender", "FromAddress"),
    ("Reply-To", "ReplyTo"),
    ("To", "ToRecipients"),
    ("Cc", "CcRecipients"),
    ("Bcc", "BccRecipients"),
    ("Subject", "Subject"),
    ("Date", ""),
    ("Message-ID", ""),
    ("MIME-Version", ""),
    ("Content-Language", "Language"),
    ("Content-*", ""),
    ("Auto-Submitted", AUTO_SUBMITTED),
    ("X-Auto-Response-Suppress", AUTO_SUBMITTED),
    ("Importance", "Importance"),
    ("Priority", "Importance"),
    ("X-Priority", "Importance"),
    ("X-MSMail-Priority", "Importance"),
    ("Sensitivity", "Sensitivity"),
    ("Reply-By", "ReplyBy"),
    ("Disposition-Notification-*", "ReadReceipt"),
    ("X-Alert-Name", "AlertName"),
    ("Return-Path", ""),
    ("Received", ""),
    ("Resent-*", ""),
    ("DKIM-Signature", ""),
    ("ARC-*", ""),
    ("Authentication-Results", ""),
    ("HP-*", ""),
];

/// Of these, what a submitted message has no more once the service signs or encrypts it: the results and signatures of
/// servers before, which are not valid for what it becomes, and what only the protection itself writes.
const OF_SERVERS: [&str; 4] = ["DKIM-Signature", "ARC-*", "Authentication-Results", "HP-*"];

/// Which headers an application may add: names, or prefixes followed by `*`. Case is ignored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeaderPolicy {
    allowed: Vec<String>,
    refused: Vec<String>,
}

impl Default for HeaderPolicy {
    /// `X-*` except `X-MS-Exchange-*`, `X-Sender` and `X-Receiver` (Exchange acts on them);
    /// `List-*`, `References`, `In-Reply-To`.
    fn default() -> Self {
        Self::new(
            ["X-*", "List-*", "References", "In-Reply-To"],
            ["X-MS-Exchange-*", "X-Sender", "X-Receiver"],
        )
    }
}

impl HeaderPolicy {
    /// A policy of patterns; `refused` takes precedence over `allowed`.
    pub fn new<A, R>(allowed: A, refused: R) -> Self
    where
        A: IntoIterator<Item: Into<String>>,
        R: IntoIterator<Item: Into<String>>,
    {
        Self {
            allowed: allowed.into_iter().map(Into::into).collect(),
            refused: refused.into_iter().map(Into::into).collect(),
        }
    }

    /// Whether an alert may add this header. Headers that sendport writes are never allowed.
    pub fn allows(&self, name: &str) -> bool {
        self.refusal(name).is_none()
    }

    /// Whether a submitted message that the service signs or encrypts may have this header.
    pub fn allows_submitted(&self, name: &str) -> bool {
        let is_one_of = |patterns: &[&str]| patterns.iter().any(|p| matches(p, name));
        let is_usual = RESERVED.iter().any(|(p, _)| matches(p, name));
        (is_usual && !is_one_of(&OF_SERVERS)) || self.allows(name)
    }

    /// Why a header is not allowed, and what to do.
    fn refusal(&self, name: &str) -> Option<String> {
        if let Some((_, column)) = RESERVED.iter().find(|(p, _)| matches(p, name)) {
            return Some(match *column {
                "" => "it is written by the mail system itself; leave it out".to_owned(),
                AUTO_SUBMITTED => {
                    "the send port's setting auto_submitted decides about it; leave it out"
                        .to_owned()
                }
                column => format!("use the column {column} instead"),
            });
        }
        let any = |patterns: &[String]| patterns.iter().any(|p| matches(p, name));
        if any(&self.allowed) && !any(&self.refused) {
            return None;
        }
        let allowed = self.allowed.join(", ");
        let but = if self.refused.is_empty() {
            ""
        } else {
            " but not "
        };
        let refused = self.refused.join(", ");
        Some(format!(
            "the send port accepts {allowed}{but}{refused}; leave it out, or have the send port allow it"
        ))
    }
}

fn matches(pattern: &str, name: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(start) => name
            .get(..start.len())
            .is_some_and(|begin| begin.eq_ignore_ascii_case(start)),
        None => name.eq_ignore_ascii_case(pattern),
    }
}

/// Adds the headers of the column in alphabetical order. Ignores members that are null or empty.
pub(super) fn add(
    headers: &mut HeaderSection,
    column: Option<&str>,
    policy: &HeaderPolicy,
) -> Result<(), MimeError> {
    let mut once: Vec<String> = Vec::new();
    for (name, value) in read(column)? {
        check_name(&name, policy)?;
        if is_structured(&name) {
            // At most one of each: RFC 5322 section 3.6, RFC 2369 section 2.
            let lower = name.to_ascii_lowercase();
            if once.contains(&lower) {
                return Err(bad_value(
                    &name,
                    "a message has it only once; put all into one string",
                ));
            }
            once.push(lower);
        }
        add_one(headers, &name, &value)?;
    }
    Ok(())
}

/// Name and value of each header; an array gives its name to every element.
fn read(column: Option<&str>) -> Result<Vec<(String, String)>, MimeError> {
    let bad = |problem: String| Err(MimeError::BadHeaders { problem });
    let Some(json) = column.filter(|json| !json.trim().is_empty()) else {
        return Ok(Vec::new());
    };
    let members = match serde_json::from_str(json) {
        Ok(Value::Object(members)) => members,
        Ok(_) => return bad("is JSON, but no object".to_owned()),
        Err(error) => return bad(format!("is not JSON: {error}")),
    };
    let mut read = Vec::new();
    for (name, value) in members {
        let values = match value {
            Value::Array(values) => values,
            value => vec![value],
        };
        for value in values {
            match value {
                Value::String(value) => read.push((name.clone(), value)),
                Value::Null => {}
                _ => {
                    let name = name.escape_debug();
                    return bad(format!(
                        "has a value for '{name}' that is neither a string nor an array of strings"
                    ));
                }
            }
        }
    }
    if read.len() > MOST_HEADERS {
        return bad(format!(
            "holds {} headers, more than {MOST_HEADERS}",
            read.len()
        ));
    }
    Ok(read)
}

/// `field-name` (RFC 5322 section 2.2): printable ASCII without the colon.
fn check_name(name: &str, policy: &HeaderPolicy) -> Result<(), MimeError> {
    guard::check("Headers", name)?;
    let is_ftext = |b: u8| b.is_ascii_graphic() && b != b':';
    if !(1..=70).contains(&name.len()) || !name.bytes().all(is_ftext) {
        let shown: String = name.escape_debug().take(80).collect();
        return Err(MimeError::BadHeaders {
            problem: format!(
                "has '{shown}' for a header's name; a name is 1 to 70 printable ASCII characters without space and colon"
            ),
        });
    }
    match policy.refusal(name) {
        None => Ok(()),
        Some(reason) => Err(MimeError::HeaderNotAllowed {
            name: name.to_owned(),
            reason,
        }),
    }
}

fn bad_value(name: &str, problem: &'static str) -> MimeError {
    MimeError::BadHeaderValue {
        name: name.to_owned(),
        problem,
    }
}

fn is_structured(name: &str) -> bool {
    ["References", "In-Reply-To", "List-*"]
        .iter()
        .any(|p| matches(p, name))
}

fn add_one(headers: &mut HeaderSection, name: &str, value: &str) -> Result<(), MimeError> {
    guard::check(&format!("Headers.{name}"), value)?;
    if value.len() > LONGEST_VALUE {
        return Err(bad_value(name, "it is longer than 16 KiB"));
    }
    if !is_structured(name) {
        headers.machine_text(name, value);
        return Ok(());
    }
    if let Some((phrase, identifier)) = named_list(name, value) {
        headers.identifier(name, phrase, identifier);
        return Ok(());
    }
    // Structured: encoded-words are not allowed in addresses and identifiers (RFC 2047 section 5).
    let words: Vec<&str> = value.split_whitespace().collect();
    let is_word =
        |w: &&str| w.len() <= longest_word(name) && w.bytes().all(|b| b.is_ascii_graphic());
    if !words.iter().all(is_word) {
        return Err(bad_value(
            name,
            "it has to be ASCII, without words that are too long for a line of 998 characters",
        ));
    }
    if !matches("List-*", name) && !words.iter().all(|word| is_message_id(word)) {
        return Err(bad_value(
            name,
            "expected Message-IDs such as <1@contoso.com>, separated by spaces",
        ));
    }
    if !words.is_empty() {
        headers.words(name, &words.join(" "));
    }
    Ok(())
}

/// `List-Id: phrase <identifier>` (RFC 2919 section 3), where the phrase is not ASCII: it has the
/// form of a mailbox.
fn named_list<'v>(name: &str, value: &'v str) -> Option<(&'v str, &'v str)> {
    if value.is_ascii() || !name.eq_ignore_ascii_case("List-Id") {
        return None;
    }
    let (phrase, identifier) = value.trim().strip_suffix('>')?.rsplit_once('<')?;
    let is_identifier = |b: u8| b.is_ascii_graphic() && b != b'<' && b != b'>';
    let usable = (1..=255).contains(&identifier.len()) && identifier.bytes().all(is_identifier);
    usable.then(|| (phrase.trim().trim_matches('"'), identifier))
}

/// `msg-id` (RFC 5322 section 3.6.4), roughly.
fn is_message_id(word: &str) -> bool {
    word.strip_prefix('<')
        .and_then(|rest| rest.strip_suffix('>'))
        .and_then(|id| id.split_once('@'))
        .is_some_and(|(left, right)| {
            !left.is_empty() && !right.is_empty() && !right.contains(['<', '>', '@'])
        })
}
