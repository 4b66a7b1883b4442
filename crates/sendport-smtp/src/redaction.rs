//! Redaction of the secrets of an authentication: a server may repeat them in a reply, and no text
//! that is shown, logged or stored may contain them.

use std::ops::Range;
use std::sync::OnceLock;

use openssl::base64::decode_block;
use secrecy::zeroize::Zeroizing;
use sendport_core::domain::Command;
use sendport_core::replies::ReplyTable;

use super::observer::REDACTED;
use super::reply_parser::ServerReply;

/// Bytes of the longest refusal whose meaning is preserved; a longer one is redacted entirely.
const LONGEST_EXPLAINED: usize = 1024;

/// The secrets of one authentication, in each form that a server may repeat.
#[derive(Default)]
pub(super) struct SecretRedactor(Vec<Zeroizing<String>>);

impl SecretRedactor {
    /// Adds the secrets of a written response, in base64.
    pub(super) fn add(&mut self, response: &str) {
        let decoded = Zeroizing::new(decode_block(response).unwrap_or_default());
        let parts = decoded.split(|&byte| byte <= 1).rev();
        let said = parts.filter_map(|part| std::str::from_utf8(part).ok());
        if let Some(secret) = said.map(secret_of).find(|secret| !secret.is_empty()) {
            self.0.push(Zeroizing::new(secret.to_owned()));
        }
        self.0.push(Zeroizing::new(response.to_owned()));
    }

    /// Redacts the secrets that a reply repeats. A challenge is no text and stays as it is. So does
    /// the part by which the table of replies recognises a refusal: redacting a password that is
    /// part of it would change cause and advice, and its position would reveal it.
    pub(super) fn redact(&self, reply: &mut ServerReply) {
        if reply.code / 100 == 3 {
            return;
        }
        let original = reply.clone();
        let mut redacted = false;
        for line in &mut reply.lines {
            redacted |= self.redact_text(line);
        }
        if !redacted {
            return;
        }
        let meant = meaning(&original);
        let length: usize = original.lines.iter().map(String::len).sum();
        if length <= LONGEST_EXPLAINED && meaning(reply) != meant {
            *reply = self.redacted_between(original, meant.as_deref());
        }
    }

    /// True where something was redacted.
    fn redact_text(&self, text: &mut String) -> bool {
        let mut redacted = false;
        // The longest first: a password may be part of what holds it.
        for secret in self.secrets().rev() {
            if text.contains(secret) {
                *text = text.replace(secret, REDACTED);
                redacted = true;
            }
        }
        redacted
    }

    /// Redacts each secret that does not change the meaning, the last first: servers repeat at the end.
    fn redacted_between(&self, mut reply: ServerReply, meant: Option<&str>) -> ServerReply {
        for at in (0..reply.lines.len()).rev() {
            let mut until = reply.lines[at].len();
            while let Some(found) = self.last_in(&reply.lines[at][..until]) {
                let mut without = reply.clone();
                without.lines[at].replace_range(found.clone(), REDACTED);
                until = found.start;
                if meaning(&without).as_deref() == meant {
                    reply = without;
                }
            }
        }
        reply
    }

    /// The longest of the secrets that end last.
    fn last_in(&self, text: &str) -> Option<Range<usize>> {
        let ranges = self.secrets().filter_map(|secret| {
            let start = text.rfind(secret)?;
            Some(start..start + secret.len())
        });
        ranges.max_by_key(|range| (range.end, range.len()))
    }

    /// Redacts the excerpt of what came instead of a reply: it may end within a secret.
    pub(super) fn redact_start(&self, text: &mut String) {
        self.redact_text(text);
        let begun = self.secrets().filter_map(|secret| {
            let cuts = secret.char_indices().map(|(at, _)| at).skip(1);
            cuts.filter(|&at| text.ends_with(&secret[..at])).max()
        });
        if let Some(length) = begun.max() {
            text.truncate(text.len() - length);
            text.push_str(REDACTED);
        }
    }

    fn secrets(&self) -> impl DoubleEndedIterator<Item = &str> {
        let secrets = self.0.iter().map(|secret| secret.as_str());
        secrets.filter(|secret| !secret.is_empty())
    }
}

/// The key of the entry that explains a refusal of AUTH.
fn meaning(reply: &ServerReply) -> Option<String> {
    static TABLE: OnceLock<ReplyTable> = OnceLock::new();
    let reply = reply.clone().into_reply(Command::Auth);
    let entry = TABLE.get_or_init(ReplyTable::built_in).explain(&reply)?;
    Some(entry.key.clone())
}

/// The token (RFC 7628 section 3.1), or the whole part: a password.
fn secret_of(part: &str) -> &str {
    part.strip_prefix("auth=Bearer ").unwrap_or(part)
}

#[cfg(test)]
mod tests {
    use openssl::base64::encode_block;

    use super::*;

    fn repeated(output: &[&str], code: u16, text: &str) -> String {
        let mut secrets = SecretRedactor::default();
        output
            .iter()
            .for_each(|output| secrets.add(&encode_block(output.as_bytes())));
        let mut reply = ServerReply {
            code,
            enhanced: None,
            lines: vec![text.to_owned()],
        };
        secrets.redact(&mut reply);
        reply.lines.remove(0)
    }

    #[test]
    fn redacts_a_repeated_password_or_token_in_every_form() {
        let plain = "\0alice\0Secret-1";
        let bearer = "user=alice\u{1}auth=Bearer abc.def\u{1}\u{1}";
        for (output, text, shown) in [
            (
                &[plain][..],
                "no Secret-1 for alice",
                "no <redacted> for alice",
            ),
            (&[plain], "no AGFsaWNlAFNlY3JldC0x", "no <redacted>"),
            (&["alice", "Secret-1"], "bad U2VjcmV0LTE=", "bad <redacted>"),
            (
                &[bearer],
                "token abc.def for alice",
                "token <redacted> for alice",
            ),
        ] {
            assert_eq!(repeated(output, 535, text), shown);
        }
    }

    #[test]
    fn does_not_change_a_challenge() {
        assert_eq!(repeated(&["x"], 334, "eA=="), "eA==");
    }

    #[test]
    fn a_password_within_a_refusal_does_not_change_its_meaning() {
        for (text, key) in [
            (
                "Authentication unsuccessful, SmtpClientAuthentication is disabled for the Tenant.",
                "smtp-auth-disabled",
            ),
            (
                "Authentication unsuccessful, basic authentication is disabled.",
                "basic-auth-disabled",
            ),
            (
                "Authentication unsuccessful, the user credentials were incorrect.",
                "microsoft-credentials-refused",
            ),
        ] {
            for password in ["p", "e", "disabled", "Authentication", "incorrect", "is"] {
                let mut secrets = SecretRedactor::default();
                secrets.add(&encode_block(format!("\0alice\0{password}").as_bytes()));
                let mut reply = ServerReply {
                    code: 535,
                    enhanced: "5.7.139".parse().ok(),
                    lines: vec![text.to_owned(), format!("not '{password}'")],
                };
                secrets.redact(&mut reply);
                assert_eq!(
                    meaning(&reply).as_deref(),
                    Some(key),
                    "{password}: {reply:?}"
                );
                let rest = reply.lines[1].replace(REDACTED, "");
                assert_eq!(rest.matches(password).count(), 0, "{reply:?}");
            }
        }
    }

    #[test]
    fn redacts_a_success_and_what_is_no_reply() {
        assert_eq!(repeated(&["Secret-1"], 235, "hi Secret-1"), "hi <redacted>");
        for (text, shown) in [
            ("zzz Secret-1 ?", "zzz <redacted> ?"),
            ("zzz not Secre", "zzz not <redacted>"),
            ("zzz garbage", "zzz garbage"),
        ] {
            let mut secrets = SecretRedactor::default();
            secrets.add(&encode_block(b"Secret-1"));
            let mut text = text.to_owned();
            secrets.redact_start(&mut text);
            assert_eq!(text, shown);
        }
    }
}
