//! Header protection (RFC 9788): copies of the header fields inside what is signed or encrypted, and
//! fewer of them outside.

use serde::{Deserialize, Serialize};

use super::entity::{Entity, field_name};
use super::outer_headers::outer_field;
use super::{Protection, SmimeError};

/// Which messages have their header fields protected.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum WhenProtected {
    /// All signed or encrypted messages.
    #[default]
    On,
    /// Encrypted messages.
    Encrypted,
    /// No message.
    Off,
}

/// The header confidentiality policy of encrypted messages (RFC 9788 section 3): what stays
/// readable outside.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Hide {
    /// Everything: `hcp_no_confidentiality`.
    None,
    /// `[...]` for the Subject, and no Keywords or Comments: `hcp_baseline`; nor X-Alert-Name,
    /// which is like them.
    #[default]
    Baseline,
    /// Also addresses without display names, and the Date in UTC: `hcp_shy`; Reply-To as well.
    Names,
}

/// Section `[send_port.<name>.header_protection]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct HeaderProtection {
    /// Which messages are protected.
    pub when: WhenProtected,
    /// What stays readable outside encrypted messages.
    pub hide: Hide,
    /// The text begins with the hidden fields, for mail programs without header protection
    /// (section 5.2.2).
    pub legacy_display: bool,
}

impl Default for HeaderProtection {
    fn default() -> Self {
        Self {
            when: WhenProtected::default(),
            hide: Hide::default(),
            legacy_display: true,
        }
    }
}

/// The header protection of one message.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum HeaderProtected {
    /// None.
    #[default]
    No,
    /// The fields are copied inside and stay readable outside: `hp="clear"`.
    Clear,
    /// The fields are copied inside; the policy decides what stays outside: `hp="cipher"`.
    Cipher(Hide),
}

impl HeaderProtection {
    /// The header protection of a message with this protection.
    pub fn of(self, protection: Protection) -> HeaderProtected {
        match (self.when, protection.encrypts(), protection.signs()) {
            (WhenProtected::On | WhenProtected::Encrypted, true, _) => {
                HeaderProtected::Cipher(self.hide)
            }
            (WhenProtected::On, false, true) => HeaderProtected::Clear,
            _ => HeaderProtected::No,
        }
    }

    /// The policy whose hidden fields the text of a message has to begin with.
    pub fn to_display(self, protection: Protection) -> Hide {
        match self.of(protection) {
            HeaderProtected::Cipher(hide) if self.legacy_display => hide,
            _ => Hide::None,
        }
    }
}

impl HeaderProtected {
    /// The word in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::No => "none",
            Self::Clear => "clear",
            Self::Cipher(Hide::None) => "cipher",
            Self::Cipher(Hide::Baseline) => "cipher-baseline",
            Self::Cipher(Hide::Names) => "cipher-names",
        }
    }

    /// A sentence for people.
    pub fn describe(self) -> &'static str {
        match self {
            Self::No => "the header is not protected",
            Self::Clear => "the header is signed",
            Self::Cipher(Hide::None) => "the header is protected and stays readable outside",
            Self::Cipher(Hide::Baseline) => "the Subject is hidden",
            Self::Cipher(Hide::Names) => "Subject and names are hidden",
        }
    }

    /// Splits a message into the outer header section and the entity to sign or encrypt.
    pub(super) fn part(self, message: &[u8]) -> Result<(Vec<u8>, Entity), SmimeError> {
        let (header, entity) = Entity::split(message)?;
        match self {
            Self::No => Ok((header, entity.alone())),
            Self::Clear => {
                let (_, fields) = fields(&header)?;
                let inside = fields.concat();
                Ok((header, entity.with_fields(inside.as_bytes(), "clear")))
            }
            Self::Cipher(hide) => {
                let (trace, fields) = fields(&header)?;
                let outer: Vec<_> = fields
                    .iter()
                    .filter_map(|it| outer_field(hide, it))
                    .collect();
                let mut inside = String::with_capacity(3 * header.len());
                inside.extend(fields);
                outer.iter().for_each(|it| push_hp_outer(it, &mut inside));
                let outer = trace.concat() + &outer.concat() + MIME_VERSION;
                let entity = entity.with_fields(inside.as_bytes(), "cipher");
                Ok((outer.into_bytes(), entity))
            }
        }
    }
}

const MIME_VERSION: &str = "MIME-Version: 1.0\r\n";

/// Longest line of a field with encoded-words (RFC 2047 section 2).
const LINE: usize = 76;

/// The trace fields, which a server on the way wrote and which stay outside; and all that are protected: not
/// MIME-Version, which is structural (RFC 9787 section 1.1.1). Each with its folds and its line ending. Bcc is never
/// written: it is envelope only.
fn fields(header: &[u8]) -> Result<(Vec<&str>, Vec<&str>), SmimeError> {
    let header = std::str::from_utf8(header);
    let header = header.map_err(|_| SmimeError::Malformed("its header is not UTF-8"))?;
    let mut fields = Vec::new();
    let (mut begin, mut end) = (0, 0);
    for line in header.split_inclusive('\n') {
        if !line.starts_with([' ', '\t']) {
            fields.push(&header[begin..end]);
            begin = end;
        }
        end += line.len();
    }
    fields.push(&header[begin..end]);
    let is_one_of = |field: &str, names: &[&str]| {
        let name = field_name(field);
        names.iter().any(|of| name.eq_ignore_ascii_case(of))
    };
    fields.retain(|it| !is_one_of(it, &["", "mime-version", "bcc", "resent-bcc", "hp-outer"]));
    let is_trace = |it: &&str| is_one_of(it, &["received"]);
    Ok(fields.into_iter().partition(is_trace))
}

/// Adds `HP-Outer` (RFC 9788 section 2.2), a copy of an outer field.
fn push_hp_outer(field: &str, out: &mut String) {
    let first = field.lines().next().unwrap_or_default();
    let is_long = "HP-Outer: ".len() + first.len() > LINE;
    match field.split_once(':') {
        Some((name, value)) if is_long && !value.starts_with("\r\n") => {
            out.extend(["HP-Outer: ", name, ":\r\n ", value.trim_start()]);
        }
        _ => out.extend(["HP-Outer: ", field]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &str = "Subject: smime-signed-enc-hp\r\n\
        Message-ID: <smime-signed-enc-hp@example>\r\n\
        From: Alice <alice@smime.example>\r\n\
        To: Bob <bob@smime.example>\r\n\
        Date: Sat, 20 Feb 2021 10:09:02 -0500\r\n\
        User-Agent: Sample MUA Version 1.0\r\n";

    fn parted(done: HeaderProtected, header: &str) -> (String, String) {
        let message = format!(
            "{header}MIME-Version: 1.0\r\nContent-Type: text/plain; charset=\"utf-8\"\r\n\
             Content-Transfer-Encoding: 7bit\r\n\r\nbody\r\n"
        );
        let (outer, entity) = done.part(message.as_bytes()).unwrap();
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        (text(&outer), text(entity.bytes()))
    }

    /// The fields of the messages in RFC 9788, appendixes C.1 to C.3.
    #[test]
    fn reproduces_the_examples_of_rfc_9788() {
        let body = |hp: &str| {
            format!(
                "Content-Type: text/plain; charset=\"utf-8\"; hp=\"{hp}\";\r\n protected-headers=\"v1\"\r\n\
                 Content-Transfer-Encoding: 7bit\r\n\r\nbody\r\n"
            )
        };
        let (outer, inner) = parted(HeaderProtected::Clear, HEADER);
        assert_eq!(outer, format!("{HEADER}MIME-Version: 1.0\r\n"));
        assert_eq!(inner, format!("{HEADER}{}", body("clear")));

        let hidden = HEADER.replacen("smime-signed-enc-hp", "[...]", 1);
        let output = |outer: &str| -> String {
            let lines = outer.split_inclusive("\r\n");
            lines.map(|line| format!("HP-Outer: {line}")).collect()
        };
        let (outer, inner) = parted(HeaderProtected::Cipher(Hide::Baseline), HEADER);
        assert_eq!(outer, format!("{hidden}MIME-Version: 1.0\r\n"));
        let expected = format!("{HEADER}{}{}", output(&hidden), body("cipher"));
        assert_eq!(inner, expected);

        let shy = hidden
            .replace("Alice <alice@smime.example>", "alice@smime.example")
            .replace("Bob <bob@smime.example>", "bob@smime.example")
            .replace("10:09:02 -0500", "15:09:02 +0000");
        let (outer, inner) = parted(HeaderProtected::Cipher(Hide::Names), HEADER);
        assert_eq!(outer, format!("{shy}MIME-Version: 1.0\r\n"));
        let expected = format!("{HEADER}{}{}", output(&shy), body("cipher"));
        assert_eq!(inner, expected);
    }

    #[test]
    fn keeps_folds_and_the_line_limit() {
        let subject = format!(
            "Subject: =?utf-8?q?{}?=\r\n =?utf-8?q?=C3=BC?=\r\n",
            "x".repeat(55)
        );
        let (_, inner) = parted(HeaderProtected::Cipher(Hide::None), &subject);
        assert!(inner.starts_with(&subject), "{inner}");
        let output = subject.replace("Subject: ", "\r\nHP-Outer: Subject:\r\n ");
        assert!(inner.contains(&output), "{inner}");
        assert!(inner.lines().all(|line| line.len() <= 76), "{inner}");
    }

    #[test]
    fn writes_hp_outer_for_outer_fields_only() {
        let header = "Keywords: a\r\nX-Ticket: 7\r\nHP-Outer: Subject: forged\r\nBcc: b@x\r\n";
        let (outer, inner) = parted(HeaderProtected::Cipher(Hide::Baseline), header);
        assert_eq!(outer, "X-Ticket: 7\r\nMIME-Version: 1.0\r\n");
        assert!(
            inner.starts_with("Keywords: a\r\nX-Ticket: 7\r\nHP-Outer: X-Ticket: 7\r\nContent-"),
            "{inner}"
        );
    }

    #[test]
    fn trace_fields_stay_outside() {
        let header = "Received: by a;\r\n today\r\nReceived: by b\r\nSubject: s\r\n";
        let (outer, inner) = parted(HeaderProtected::Clear, header);
        assert_eq!(outer, format!("{header}MIME-Version: 1.0\r\n"));
        assert!(inner.starts_with("Subject: s\r\nContent-"), "{inner}");
        let (outer, inner) = parted(HeaderProtected::Cipher(Hide::Baseline), header);
        let hidden = header.replace(": s", ": [...]");
        assert_eq!(outer, format!("{hidden}MIME-Version: 1.0\r\n"));
        assert!(!inner.contains("Received"), "{inner}");
    }

    /// RFC 6532; such a message is submitted with SMTPUTF8 only.
    #[test]
    fn protects_non_ascii_addresses_like_others() {
        let header = "From: J <jö@x>\r\nTo: K <kö@x>, l@x\r\n";
        let (_, inner) = parted(HeaderProtected::Clear, header);
        assert!(inner.starts_with(header), "{inner}");
        let (outer, inner) = parted(HeaderProtected::Cipher(Hide::Names), header);
        assert_eq!(
            outer,
            "From: jö@x\r\nTo: kö@x, l@x\r\nMIME-Version: 1.0\r\n"
        );
        let output = "HP-Outer: From: jö@x\r\nHP-Outer: To: kö@x, l@x\r\n";
        assert!(inner.contains(output), "{inner}");
    }

    #[test]
    fn hides_fields_of_encrypted_messages_only() {
        let on = HeaderProtection::default();
        let of = |when, protection| HeaderProtection { when, ..on }.of(protection).as_str();
        for (when, sign, encrypt) in [
            (WhenProtected::On, "clear", "cipher-baseline"),
            (WhenProtected::Encrypted, "none", "cipher-baseline"),
            (WhenProtected::Off, "none", "none"),
        ] {
            assert_eq!(of(when, Protection::None), "none");
            assert_eq!(of(when, Protection::Sign), sign);
            assert_eq!(of(when, Protection::Encrypt), encrypt);
            assert_eq!(of(when, Protection::SignEncrypt), encrypt);
        }
        assert_eq!(on.to_display(Protection::Sign), Hide::None);
        assert_eq!(on.to_display(Protection::Encrypt), Hide::Baseline);
    }
}
