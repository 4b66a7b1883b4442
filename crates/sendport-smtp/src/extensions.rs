//! What the server offers in its reply to `EHLO` (RFC 5321 section 4.1.1.1).

use sendport_core::domain::ServerLimits;

use super::reply_parser::ServerReply;

/// The service extensions of one session that sendport uses.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Extensions {
    /// `SIZE` (RFC 1870): offered, with the largest message in bytes, or 0 for no limit.
    pub size: Option<u64>,
    /// `8BITMIME` (RFC 6152).
    pub eight_bit_mime: bool,
    /// `PIPELINING` (RFC 2920).
    pub pipelining: bool,
    /// `STARTTLS` (RFC 3207).
    pub starttls: bool,
    /// `ENHANCEDSTATUSCODES` (RFC 2034).
    pub enhanced_status_codes: bool,
    /// `DSN` (RFC 3461).
    pub dsn: bool,
    /// `SMTPUTF8` (RFC 6531).
    pub smtp_utf8: bool,
    /// `CHUNKING` (RFC 3030).
    pub chunking: bool,
    /// `LIMITS` (RFC 9422).
    pub limits: ServerLimits,
    /// `AUTH` (RFC 4954): SASL mechanisms in capitals, in the server's order.
    pub auth: Vec<String>,
}

impl Extensions {
    /// Parses the lines after the first, which is a greeting. The keywords in `ignored` count as not
    /// offered.
    pub fn parse(reply: &ServerReply, ignored: &[String]) -> Self {
        let mut extensions = Self::default();
        for line in reply.lines.iter().skip(1) {
            // `AUTH=LOGIN` is how servers wrote it before RFC 2554; some still add it.
            let line = line.replacen("AUTH=", "AUTH ", 1);
            let mut words = line.split_ascii_whitespace();
            let Some(keyword) = words.next() else {
                continue;
            };
            if !ignored
                .iter()
                .any(|other| other.eq_ignore_ascii_case(keyword))
            {
                extensions.add(&keyword.to_ascii_uppercase(), words);
            }
        }
        extensions
    }

    fn add<'a>(&mut self, keyword: &str, mut parameters: impl Iterator<Item = &'a str>) {
        match keyword {
            "SIZE" => {
                let limit = parameters.next().and_then(|limit| limit.parse().ok());
                self.size = Some(limit.unwrap_or(0));
            }
            "8BITMIME" => self.eight_bit_mime = true,
            "PIPELINING" => self.pipelining = true,
            "STARTTLS" => self.starttls = true,
            "ENHANCEDSTATUSCODES" => self.enhanced_status_codes = true,
            "DSN" => self.dsn = true,
            "SMTPUTF8" => self.smtp_utf8 = true,
            "CHUNKING" => self.chunking = true,
            "LIMITS" => self.limits = ServerLimits::parse(parameters),
            "AUTH" => {
                for mechanism in parameters.map(str::to_ascii_uppercase) {
                    if !self.auth.contains(&mechanism) {
                        self.auth.push(mechanism);
                    }
                }
            }
            _ => {}
        }
    }

    /// The limit of `SIZE` where there is one and a message of `bytes` exceeds it.
    pub fn size_limit_below(&self, bytes: usize) -> Option<u64> {
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        self.size.filter(|&limit| limit != 0 && limit < bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(lines: &[&str]) -> ServerReply {
        ServerReply {
            code: 250,
            enhanced: None,
            lines: lines.iter().map(|&line| line.to_owned()).collect(),
        }
    }

    #[test]
    fn keywords_are_read_whatever_their_case() {
        let offered = reply(&[
            "mail.contoso.com Hello PIPELINING",
            "size 35882577",
            "8BITMIME",
            "StartTLS",
            "AUTH LOGIN plain",
            "AUTH=LOGIN PLAIN NTLM",
            "X-UNKNOWN thing",
        ]);
        let extensions = Extensions::parse(&offered, &[]);
        assert_eq!(extensions.auth, ["LOGIN", "PLAIN", "NTLM"]);
        assert_eq!(extensions.size, Some(35_882_577));
        assert!(extensions.eight_bit_mime && extensions.starttls);
        assert!(!extensions.pipelining, "the first line is a greeting");
    }

    #[test]
    fn ignored_extensions_count_as_not_offered() {
        let offered = reply(&["x", "PIPELINING", "SIZE 10", "AUTH PLAIN"]);
        let ignored = ["pipelining".to_owned(), "Auth".to_owned()];
        let extensions = Extensions::parse(&offered, &ignored);
        assert!(!extensions.pipelining && extensions.auth.is_empty());
        assert_eq!(extensions.size_limit_below(11), Some(10));
    }

    #[test]
    fn size_without_a_limit_accepts_every_message() {
        for line in ["SIZE", "SIZE 0", "SIZE lots"] {
            let extensions = Extensions::parse(&reply(&["x", line]), &[]);
            assert_eq!(
                (extensions.size, extensions.size_limit_below(9)),
                (Some(0), None)
            );
        }
    }
}
