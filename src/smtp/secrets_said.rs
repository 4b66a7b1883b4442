//! What was said in a sign-in: a server that repeats it must not bring it into a text that is
//! shown, logged or stored.

use openssl::base64::decode_block;
use secrecy::zeroize::Zeroizing;

use super::observer::STRUCK_OUT;
use super::reply_parser::ServerReply;

/// Secrets of one sign-in as they may be repeated.
#[derive(Default)]
pub(super) struct SecretsSaid(Vec<Zeroizing<String>>);

impl SecretsSaid {
    /// `response` is what was written, in base64.
    pub(super) fn note(&mut self, response: &str) {
        let decoded = Zeroizing::new(decode_block(response).unwrap_or_default());
        let parts = decoded.split(|&octet| octet <= 1).rev();
        let said = parts.filter_map(|part| std::str::from_utf8(part).ok());
        if let Some(secret) = said.map(secret_of).find(|secret| !secret.is_empty()) {
            self.0.push(Zeroizing::new(secret.to_owned()));
        }
        self.0.push(Zeroizing::new(response.to_owned()));
    }

    /// Strikes out what a refusal repeats; a challenge is no text.
    pub(super) fn strike(&self, reply: &mut ServerReply) {
        if reply.code < 400 {
            return;
        }
        for line in &mut reply.lines {
            // The longest first: a password may be part of what holds it.
            for secret in self.0.iter().rev().filter(|secret| !secret.is_empty()) {
                if line.contains(secret.as_str()) {
                    *line = line.replace(secret.as_str(), STRUCK_OUT);
                }
            }
        }
    }
}

/// The token alone (RFC 7628 section 3.1), or all of it: a password.
fn secret_of(part: &str) -> &str {
    part.strip_prefix("auth=Bearer ").unwrap_or(part)
}

#[cfg(test)]
mod tests {
    use openssl::base64::encode_block;

    use super::*;

    fn repeated(said: &[&str], code: u16, text: &str) -> String {
        let mut secrets = SecretsSaid::default();
        said.iter()
            .for_each(|said| secrets.note(&encode_block(said.as_bytes())));
        let mut reply = ServerReply {
            code,
            enhanced: None,
            lines: vec![text.to_owned()],
        };
        secrets.strike(&mut reply);
        reply.lines.remove(0)
    }

    #[test]
    fn a_repeated_password_or_token_is_struck_out_in_every_form() {
        let plain = "\0alice\0Secret-1";
        let bearer = "user=alice\u{1}auth=Bearer abc.def\u{1}\u{1}";
        for (said, text, shown) in [
            (
                &[plain][..],
                "no Secret-1 for alice",
                "no <struck out> for alice",
            ),
            (&[plain], "no AGFsaWNlAFNlY3JldC0x", "no <struck out>"),
            (
                &["alice", "Secret-1"],
                "bad U2VjcmV0LTE=",
                "bad <struck out>",
            ),
            (
                &[bearer],
                "token abc.def for alice",
                "token <struck out> for alice",
            ),
        ] {
            assert_eq!(repeated(said, 535, text), shown);
        }
    }

    #[test]
    fn a_challenge_stays_as_it_is() {
        assert_eq!(repeated(&["x"], 334, "eA=="), "eA==");
    }
}
