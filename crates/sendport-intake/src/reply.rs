//! Replies (RFC 5321 section 4.2) with enhanced status codes (RFC 2034).

use std::borrow::Cow;

/// Longest text of a reply line: 512 octets less code, enhanced code and CRLF (RFC 5321 section 4.5.3.1.5).
const LONGEST_TEXT: usize = 490;

/// One reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reply {
    pub(crate) code: u16,
    /// `class.subject.detail` (RFC 3463); empty where the reply has none.
    enhanced: &'static str,
    text: Cow<'static, str>,
    /// Lines behind the first one.
    more: Vec<String>,
}

impl Reply {
    pub(crate) fn new(
        code: u16,
        enhanced: &'static str,
        text: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self {
            code,
            enhanced,
            text: text.into(),
            more: Vec::new(),
        }
    }

    /// The reply to EHLO: the name, then a keyword on each line.
    pub(crate) fn ehlo(text: String, keywords: Vec<String>) -> Self {
        Self {
            more: keywords,
            ..Self::new(250, "", text)
        }
    }

    /// The enhanced status code; empty where there is none.
    pub(crate) fn enhanced(&self) -> &'static str {
        self.enhanced
    }

    /// Its text, without codes.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// Its first line with codes, for a file.
    pub(crate) fn line(&self) -> String {
        let text: String = self.text.chars().filter(|c| !c.is_control()).collect();
        format!("{self} {text}")
    }

    /// 5xx.
    pub(crate) fn is_permanent_failure(&self) -> bool {
        self.code >= 500
    }

    /// 4xx or 5xx.
    pub(crate) fn is_failure(&self) -> bool {
        self.code >= 400
    }

    /// Adds its lines to `output`. The text may repeat what a client sent: only printable ASCII is written.
    pub(crate) fn write(&self, output: &mut Vec<u8>) {
        let lines = self.more.len();
        let separator = |at: usize| if at == lines { ' ' } else { '-' };
        let space = if self.enhanced.is_empty() { "" } else { " " };
        let first = format!("{}{}{}{space}", self.code, separator(0), self.enhanced);
        output.extend_from_slice(first.as_bytes());
        let printable = |c: char| {
            if c.is_ascii_graphic() || c == ' ' {
                c as u8
            } else {
                b'?'
            }
        };
        output.extend(self.text.chars().take(LONGEST_TEXT).map(printable));
        for (at, line) in self.more.iter().enumerate() {
            let line = format!("\r\n{}{}{line}", self.code, separator(at + 1));
            output.extend_from_slice(line.as_bytes());
        }
        output.extend_from_slice(b"\r\n");
    }
}

/// For the log.
impl std::fmt::Display for Reply {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.code, self.enhanced)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(reply: &Reply) -> String {
        let mut output = Vec::new();
        reply.write(&mut output);
        String::from_utf8(output).unwrap()
    }

    #[test]
    fn a_reply_never_has_a_line_of_a_client() {
        let reply = Reply::new(550, "5.7.1", "a\r\n250 b\u{fc}\0");
        assert_eq!(written(&reply), "550 5.7.1 a??250 b??\r\n");
        let long = Reply::new(550, "5.7.1", "x".repeat(5000));
        assert!(written(&long).len() <= 512);
    }

    #[test]
    fn each_line_but_the_last_has_a_hyphen() {
        let reply = Reply::ehlo(
            "mail.test".to_owned(),
            vec!["SIZE 1".to_owned(), "DSN".to_owned()],
        );
        assert_eq!(
            written(&reply),
            "250-mail.test\r\n250-SIZE 1\r\n250 DSN\r\n"
        );
        assert_eq!(written(&Reply::new(354, "", "go on")), "354 go on\r\n");
    }
}
