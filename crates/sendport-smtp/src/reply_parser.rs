//! Parses replies (RFC 5321 section 4.2), and the malformed ones that servers send.
//!
//! Takes bytes in portions of any size and gives [`ServerReply`]s. Whatever a server sends, the
//! parser does not panic and needs at most twice [`MAX_REPLY`] bytes. A longer reply loses the end
//! of its text, not its code.

use std::borrow::Cow;

use sendport_core::domain::{Command, EnhancedStatusCode, Reply, is_invisible};

/// Bytes of text that are kept of a line, and of a reply. A challenge has up to 12,288 (RFC 4954
/// section 3).
pub const MAX_REPLY: usize = 65_536;

/// Bytes after which a reply counts as endless.
const ENDLESS: usize = 16 * 1024 * 1024;

/// A whole reply, not yet tied to the command that it answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerReply {
    /// Code of the last line: where lines differ, that line ends the reply, and other clients use
    /// it too.
    pub code: u16,
    /// The first one of any line.
    pub enhanced: Option<EnhancedStatusCode>,
    /// The text of each line, without codes.
    pub lines: Vec<String>,
}

impl ServerReply {
    /// Ties the reply to its command.
    pub fn into_reply(self, command: Command) -> Reply {
        let full: Vec<&str> = self
            .lines
            .iter()
            .map(|line| line.trim())
            .filter(|line| !line.is_empty())
            .collect();
        Reply::new(command, self.code, self.enhanced, full.join(" "))
    }

    /// The text of the first line; a challenge of `AUTH` is one line.
    pub fn first_line(&self) -> &str {
        self.lines.first().map_or("", |line| line.as_str())
    }
}

/// The bytes are not an SMTP reply.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReplySyntaxError {
    /// A line without a reply code.
    #[error("expected an SMTP reply such as '250 OK', found '{0}': is this an SMTP server's port?")]
    NotSmtp(String),
    /// A reply without end.
    #[error("the server's reply is longer than 16 MiB")]
    Endless,
}

impl ReplySyntaxError {
    /// The start of an HTTP response (RFC 9112 section 4).
    pub fn is_http(&self) -> bool {
        let scheme = |text: &str| {
            text.get(..5)
                .is_some_and(|it| it.eq_ignore_ascii_case("HTTP/"))
        };
        matches!(self, Self::NotSmtp(text) if scheme(text))
    }
}

/// One line of a reply.
struct Line {
    code: u16,
    is_last: bool,
    enhanced: Option<EnhancedStatusCode>,
    text: String,
}

/// Collects bytes until a reply is whole. After an error the connection is of no use.
#[derive(Debug, Default)]
pub struct ReplyParser {
    /// Bytes received and not yet parsed into lines.
    buffer: Vec<u8>,
    /// `buffer` holds no line end up to here.
    scanned: usize,
    lines: Vec<String>,
    enhanced: Option<EnhancedStatusCode>,
    /// Bytes of `lines`.
    bytes: usize,
    /// Bytes fed since the last whole reply.
    fed: usize,
}

impl ReplyParser {
    /// Adds received bytes.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.fed += bytes.len();
        self.buffer.extend_from_slice(bytes);
    }

    /// True where bytes are left that belong to no parsed reply.
    pub fn has_leftover(&self) -> bool {
        !self.buffer.is_empty() || !self.lines.is_empty()
    }

    /// The next whole reply, or `None` where more bytes are needed.
    ///
    /// # Errors
    /// [`ReplySyntaxError`] as soon as it is certain.
    pub fn take(&mut self) -> Result<Option<ServerReply>, ReplySyntaxError> {
        while let Some(line) = self.take_line()? {
            self.bytes += line.text.len() + 6;
            if self.bytes <= MAX_REPLY {
                self.lines.push(line.text);
            }
            self.enhanced = self.enhanced.or(line.enhanced);
            if line.is_last {
                (self.bytes, self.fed) = (0, self.buffer.len());
                return Ok(Some(ServerReply {
                    code: line.code,
                    enhanced: self.enhanced.take(),
                    lines: std::mem::take(&mut self.lines),
                }));
            }
        }
        Ok(None)
    }

    /// Line ends are CRLF; a lone LF is accepted, because some servers write nothing else.
    fn take_line(&mut self) -> Result<Option<Line>, ReplySyntaxError> {
        let Some(at) = self.buffer[self.scanned..].iter().position(|&b| b == b'\n') else {
            self.refuse_early()?;
            self.buffer.truncate(MAX_REPLY);
            self.scanned = self.buffer.len();
            return Ok(None);
        };
        let end = self.scanned + at;
        let line = self.buffer[..end]
            .strip_suffix(b"\r")
            .unwrap_or(&self.buffer[..end]);
        let parsed = parse_line(&line[..line.len().min(MAX_REPLY)])?;
        self.buffer.drain(..=end);
        self.scanned = 0;
        Ok(Some(parsed))
    }

    /// Refuses an endless reply, or what is not SMTP, without waiting for the time-out.
    fn refuse_early(&self) -> Result<(), ReplySyntaxError> {
        let head = &self.buffer[..self.buffer.len().min(3)];
        if !head.iter().all(u8::is_ascii_digit) && self.buffer.len() >= 16 {
            return Err(ReplySyntaxError::NotSmtp(excerpt(&self.buffer)));
        }
        match self.fed > ENDLESS {
            true => Err(ReplySyntaxError::Endless),
            false => Ok(()),
        }
    }
}

fn parse_line(line: &[u8]) -> Result<Line, ReplySyntaxError> {
    let refuse = || ReplySyntaxError::NotSmtp(excerpt(line));
    let (digits, rest) = line.split_at_checked(3).ok_or_else(refuse)?;
    if !digits.iter().all(u8::is_ascii_digit) || !(b'2'..=b'5').contains(&digits[0]) {
        return Err(refuse());
    }
    let code = digits
        .iter()
        .fold(0, |code, digit| code * 10 + u16::from(digit - b'0'));
    let (is_last, text) = match rest {
        [] => (true, rest),
        [b' ' | b'\t', text @ ..] => (true, text),
        [b'-', text @ ..] => (false, text),
        _ => return Err(refuse()),
    };
    let (enhanced, text) = split_enhanced(code, text);
    Ok(Line {
        code,
        is_last,
        enhanced,
        text: readable(text),
    })
}

/// The enhanced code has the class of the reply code (RFC 2034 section 4); one of another class
/// remains in the text. Cisco writes `#5.1.0` in front of the text, qmail `(#5.1.1)` behind it.
fn split_enhanced(code: u16, text: &[u8]) -> (Option<EnhancedStatusCode>, &[u8]) {
    let end = text
        .iter()
        .position(|b| b.is_ascii_whitespace())
        .unwrap_or(text.len());
    let word = &text[..end];
    match enhanced_of(code, word.strip_prefix(b"#").unwrap_or(word)) {
        Some(enhanced) => (Some(enhanced), text[end..].trim_ascii_start()),
        None => (in_brackets(code, text), text),
    }
}

fn enhanced_of(code: u16, word: &[u8]) -> Option<EnhancedStatusCode> {
    let enhanced: EnhancedStatusCode = std::str::from_utf8(word).ok()?.parse().ok()?;
    (u16::from(enhanced.class) == code / 100).then_some(enhanced)
}

fn in_brackets(code: u16, text: &[u8]) -> Option<EnhancedStatusCode> {
    let start = text.windows(2).position(|pair| pair == b"(#")? + 2;
    let length = text[start..].iter().position(|&b| b == b')')?;
    enhanced_of(code, &text[start..start + length])
}

/// Replaces control characters and those that turn or hide text, which would reach logs and columns.
/// Two joiners are part of words in some scripts.
fn readable(text: &[u8]) -> String {
    let is_odd = |c: char| c.is_control() || is_invisible(c) && !"\u{200c}\u{200d}".contains(c);
    decoded(text)
        .chars()
        .map(|c| if is_odd(c) { ' ' } else { c })
        .collect()
}

/// UTF-8, of which the end may be cut off (RFC 6531 section 3.7.4.2), or else Latin-1, which older
/// servers write.
fn decoded(text: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(text) {
        Err(error) if error.error_len().is_some() => text.iter().copied().map(char::from).collect(),
        _ => String::from_utf8_lossy(text),
    }
}

/// The start of what was received instead of a reply.
fn excerpt(bytes: &[u8]) -> String {
    let line = bytes
        .split(|&b| b == b'\r' || b == b'\n')
        .next()
        .unwrap_or_default();
    readable(&line[..line.len().min(60)]).trim().to_owned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(bytes: &[u8]) -> Result<Option<ServerReply>, ReplySyntaxError> {
        let mut parser = ReplyParser::default();
        parser.feed(bytes);
        parser.take()
    }

    fn whole(bytes: &[u8]) -> Reply {
        parse(bytes)
            .expect("a reply")
            .expect("a whole reply")
            .into_reply(Command::Rcpt)
    }

    #[test]
    fn malformed_replies_keep_their_code() {
        for (wire, code, enhanced, text) in [
            (&b"250 OK\r\n"[..], 250, None, "OK"),
            (b"250\r\n", 250, None, ""),
            (b"250 \r\n", 250, None, ""),
            (b"571 5.7.1 no\r\n", 571, Some((5, 7, 1)), "no"),
            (
                b"550 5.7.606 Access denied\r\n",
                550,
                Some((5, 7, 606)),
                "Access denied",
            ),
            (b"550 5.1.1\r\n", 550, Some((5, 1, 1)), ""),
            (
                "550 5.1.1 a\u{1b}b\u{202e}c\u{2066}d\u{200c}e\u{feff}f\r\n".as_bytes(),
                550,
                Some((5, 1, 1)),
                "a b c d\u{200c}e f",
            ),
            (b"250 only LF\n", 250, None, "only LF"),
            (
                b"550 kein Empf\xe4nger\r\n",
                550,
                None,
                "kein Empf\u{e4}nger",
            ),
            (
                b"250-2.1.0 a\r\n250 2.1.0 b\r\n",
                250,
                Some((2, 1, 0)),
                "a b",
            ),
            (b"250-a\r\n550 5.1.1 b\r\n", 550, Some((5, 1, 1)), "a b"),
            (
                b"450 5.1.1 class differs\r\n",
                450,
                None,
                "5.1.1 class differs",
            ),
            (b"250-\r\n250-x\r\n250\r\n", 250, None, "x"),
            (
                b"550 #5.1.0 Address rejected.\r\n",
                550,
                Some((5, 1, 0)),
                "Address rejected.",
            ),
            (
                b"550 sorry, no mailbox here by that name (#5.1.1)\r\n",
                550,
                Some((5, 1, 1)),
                "sorry, no mailbox here by that name (#5.1.1)",
            ),
            (b"550 #5.1 (#4.1.1)\r\n", 550, None, "#5.1 (#4.1.1)"),
            (b"550 no end (#5.1.1\r\n", 550, None, "no end (#5.1.1"),
        ] {
            let reply = whole(wire);
            let expected = enhanced.map(|(c, s, d)| EnhancedStatusCode::new(c, s, d));
            assert_eq!(
                (reply.code, reply.enhanced, &*reply.text),
                (code, expected, text)
            );
        }
    }

    #[test]
    fn the_error_quotes_what_is_not_smtp() {
        let error = parse(b"HTTP/1.1 400 Bad Request\r\nServer: x\r\n\r\n").expect_err("HTTP");
        assert!(
            error.to_string().contains("HTTP/1.1 400 Bad Request"),
            "{error}"
        );
        for wire in [
            &b"\r\n"[..],
            b"25\r\n",
            b"150 no\r\n",
            b"650 no\r\n",
            b"250x\r\n",
        ] {
            assert!(
                matches!(parse(wire), Err(ReplySyntaxError::NotSmtp(_))),
                "{wire:?}"
            );
        }
    }

    #[test]
    fn refuses_an_endless_reply() {
        for piece in [&b"250-x\r\n"[..], b"2222"] {
            let mut parser = ReplyParser::default();
            let mut fed = 0;
            let end = loop {
                let bytes = piece.repeat(1000);
                parser.feed(&bytes);
                fed += bytes.len();
                match parser.take() {
                    Ok(None) => assert!(parser.buffer.len() <= MAX_REPLY && fed <= ENDLESS),
                    end => break end,
                }
            };
            assert_eq!(end, Err(ReplySyntaxError::Endless));
        }
        assert!(matches!(
            parse(b"SSH-2.0-OpenSSH_9.2"),
            Err(ReplySyntaxError::NotSmtp(_))
        ));
    }

    #[test]
    fn a_long_reply_keeps_its_code_and_the_next_one_is_whole() {
        let lines = "550-5.1.1 no\r\n".repeat(10_000) + "550 5.1.1 end\r\n250 next\r\n";
        let line = format!("550 5.1.1 {}\r\n250 next\r\n", "no ".repeat(100_000));
        for wire in [lines, line] {
            for size in [100, 4096, wire.len()] {
                let mut parser = ReplyParser::default();
                let mut replies = Vec::new();
                for piece in wire.as_bytes().chunks(size) {
                    parser.feed(piece);
                    replies.extend(parser.take().expect("SMTP"));
                }
                replies.extend(parser.take().expect("SMTP"));
                let codes: Vec<_> = replies.iter().map(|it| it.code).collect();
                assert_eq!(codes, [550, 250]);
                assert_eq!(replies[0].enhanced, Some(EnhancedStatusCode::new(5, 1, 1)));
                let bytes: usize = replies[0].lines.iter().map(String::len).sum();
                assert!((10_000..=MAX_REPLY).contains(&bytes), "{bytes}");
                assert_eq!(replies[1].lines, ["next"]);
            }
        }
    }

    #[test]
    fn the_longest_challenge_is_whole() {
        let wire = format!("334 {}\r\n", "A".repeat(12_288));
        let reply = parse(wire.as_bytes()).expect("a reply").expect("whole");
        assert_eq!(reply.first_line().len(), 12_288);
    }

    proptest! {
        #[test]
        fn no_input_makes_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
            let mut parser = ReplyParser::default();
            parser.feed(&bytes);
            while let Ok(Some(_)) = parser.take() {}
        }

        #[test]
        fn chunk_boundaries_do_not_matter(
            lines in proptest::collection::vec(("[2-5][0-9]{2}[ -][ -~]{0,20}", any::<bool>()), 1..8),
            cuts in proptest::collection::vec(1usize..9, 1..40),
        ) {
            let wire: Vec<u8> = lines
                .iter()
                .flat_map(|(line, crlf)| format!("{line}{}", if *crlf { "\r\n" } else { "\n" }).into_bytes())
                .collect();
            let mut at_once = ReplyParser::default();
            at_once.feed(&wire);
            let mut expected = Vec::new();
            while let Some(reply) = at_once.take().expect("replies") {
                expected.push(reply);
            }
            let mut in_pieces = ReplyParser::default();
            let mut found = Vec::new();
            let mut rest = &wire[..];
            for cut in cuts.iter().cycle() {
                let (piece, left) = rest.split_at((*cut).min(rest.len()));
                in_pieces.feed(piece);
                while let Some(reply) = in_pieces.take().expect("replies") {
                    found.push(reply);
                }
                rest = left;
                if rest.is_empty() {
                    break;
                }
            }
            prop_assert_eq!(found, expected);
        }
    }
}
