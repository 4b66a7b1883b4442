//! Legacy Display Elements (RFC 9788 section 5.2.2): the hidden header fields of an encrypted message
//! at the start of its texts. Mail programs with header protection remove them; others would not
//! show these fields at all.

use std::borrow::Cow;
use std::fmt::Write;

use sendport_core::domain::{Mailbox, Recipient, RecipientKind};

use super::html_text::scan::{after, after_element, tag_end, tag_name};

/// The parameter of Content-Type that announces them, after other parameters.
pub(super) const PARAMETER: &str = "; hp-legacy-display=\"1\"";

/// The header fields at the start of the texts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum LegacyDisplay {
    /// None.
    #[default]
    None,
    /// Subject.
    Subject,
    /// Subject; and From, To and Cc where they have display names.
    Names,
}

impl LegacyDisplay {
    /// Lines of `name: value`.
    pub(super) fn lines(self, subject: &str, from: &Mailbox, recipients: &[Recipient]) -> String {
        let mut lines = String::new();
        if self == Self::None {
            return lines;
        }
        line(&mut lines, "Subject", subject);
        if self == Self::Names {
            let of = |kind| {
                let of_kind = recipients.iter().filter(move |it| it.kind == kind);
                of_kind
                    .filter_map(|it| it.address.mailbox())
                    .collect::<Vec<_>>()
            };
            line(&mut lines, "From", &named(&[from]));
            line(&mut lines, "To", &named(&of(RecipientKind::To)));
            line(&mut lines, "Cc", &named(&of(RecipientKind::Cc)));
        }
        lines
    }
}

fn line(lines: &mut String, name: &str, value: &str) {
    let value = value.trim().replace('\t', " ");
    if !value.is_empty() {
        // Writing into a String cannot fail.
        let _ = writeln!(lines, "{name}: {value}");
    }
}

/// Mailboxes for people; empty where none has a display name, because then nothing is hidden.
fn named(mailboxes: &[&Mailbox]) -> String {
    let name = |it: &Mailbox| it.display_name.clone().unwrap_or_default();
    if mailboxes.iter().all(|it| name(it).trim().is_empty()) {
        return String::new();
    }
    let shown = mailboxes.iter().map(|it| match name(it).trim() {
        "" => it.address.to_string(),
        name => format!("{name} <{}>", it.address),
    });
    shown.collect::<Vec<_>>().join(", ")
}

/// Section 5.2.2: an empty line ends the element.
pub(super) fn in_text<'a>(lines: &str, text: &'a str) -> Cow<'a, str> {
    match lines.is_empty() {
        true => Cow::Borrowed(text),
        false => Cow::Owned(format!("{lines}\n{}", text.trim_start_matches('\u{feff}'))),
    }
}

/// Section 5.2.3: the element is the first one of the body.
pub(super) fn in_html<'a>(lines: &str, html: &'a str) -> Cow<'a, str> {
    if lines.is_empty() {
        return Cow::Borrowed(html);
    }
    let html = html.trim_start_matches('\u{feff}');
    let shown = lines.trim_end().replace('&', "&amp;").replace('<', "&lt;");
    let shown = shown.replace('>', "&gt;");
    let (before, behind) = html.split_at(begin_of_body(html));
    Cow::Owned(format!(
        "{before}<div class=\"header-protection-legacy-display\">\n<pre>{shown}</pre>\n</div>\n{behind}"
    ))
}

/// The position after `<body>`; without that tag, after the head or whatever else precedes the
/// content.
pub(super) fn begin_of_body(html: &str) -> usize {
    let (mut rest, mut begin) = (html, 0);
    while let Some(at) = rest.find('<') {
        rest = &rest[at + 1..];
        if let Some(comment) = rest.strip_prefix("!--") {
            rest = after(comment, "-->");
            continue;
        }
        let end = tag_end(rest);
        let tag = &rest[..end];
        rest = rest.get(end + 1..).unwrap_or_default();
        let here = html.len() - rest.len();
        match &*tag_name(tag) {
            "body" if !tag.starts_with('/') => return here,
            "html" | "head" => begin = here,
            "" if tag.starts_with(['!', '?']) => begin = here,
            name @ ("title" | "style" | "script") => rest = after_element(rest, name),
            "meta" | "link" | "base" => {}
            _ => return begin,
        }
    }
    begin
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINES: &str = "Subject: a < b & c\n";
    const ELEMENT: &str = "<div class=\"header-protection-legacy-display\">\n\
         <pre>Subject: a &lt; b &amp; c</pre>\n</div>\n";

    #[test]
    fn inserts_the_first_element_of_the_body() {
        for html in [
            "|<p>a</p>",
            "<html><head><title>t</title></head><body class='>'>|<p>a</p></body></html>",
            "<!DOCTYPE html>\n<html>|\n<p>a",
            "<!-- <body> --><BODY\nid=x>|a",
            "<html><head><style>p{}</style><meta><script>a<b</script></head>|<p>a</p><body>",
            "",
        ] {
            let plain = html.replace('|', "");
            let at = html.find('|').unwrap_or(0);
            let (before, behind) = plain.split_at(at);
            let expected = format!("{before}{ELEMENT}{behind}");
            assert_eq!(in_html(LINES, &plain), expected);
            assert_eq!(in_html("", &plain), plain);
        }
    }

    #[test]
    fn ends_with_an_empty_line_in_text() {
        assert_eq!(in_text(LINES, "a\n"), "Subject: a < b & c\n\na\n");
        assert_eq!(in_text("", "a\n"), "a\n");
    }

    #[test]
    fn shows_names_that_are_hidden_outside() {
        let mailbox = |text| sendport_core::domain::parse_mailbox(text).unwrap();
        let lines = |it: LegacyDisplay, from| it.lines("s", &mailbox(from), &[]);
        assert_eq!(lines(LegacyDisplay::None, "A <a@x>"), "");
        assert_eq!(lines(LegacyDisplay::Subject, "A <a@x>"), "Subject: s\n");
        assert_eq!(
            lines(LegacyDisplay::Names, "Ä <a@x>"),
            "Subject: s\nFrom: Ä <a@x>\n"
        );
        assert_eq!(lines(LegacyDisplay::Names, "a@x"), "Subject: s\n");
    }
}
