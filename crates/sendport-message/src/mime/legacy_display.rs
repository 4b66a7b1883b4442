//! Legacy Display Elements (RFC 9788 section 5.2.2): header fields that an encrypted message hides,
//! at the begin of its texts. A reader that knows header protection leaves them out again; any
//! other one would show nothing of them.

use std::borrow::Cow;
use std::fmt::Write;

use super::alternative::{after, after_element, tag_end, tag_name};
use sendport_core::domain::{Mailbox, Recipient, RecipientKind};

/// The parameter of a Content-Type that says so, as it follows other parameters.
pub(super) const PARAMETER: &str = "; hp-legacy-display=\"1\"";

/// What the texts of a message begin with.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Displayed {
    /// Nothing but themselves.
    #[default]
    Nothing,
    /// The Subject.
    Subject,
    /// The Subject, and From, To and Cc where they hold names.
    Names,
}

impl Displayed {
    /// Lines of `name: value`.
    pub(super) fn lines(self, subject: &str, from: &Mailbox, recipients: &[Recipient]) -> String {
        let mut lines = String::new();
        if self == Self::Nothing {
            return lines;
        }
        line(&mut lines, "Subject", subject);
        if self == Self::Names {
            let of = |kind| {
                let readable = recipients.iter().filter(|it| it.refusal.is_none());
                let of_kind = readable.filter(move |it| it.kind == kind);
                of_kind.map(|it| &it.mailbox).collect::<Vec<_>>()
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

/// Mailboxes for people; empty where none has a name, because then nothing of them is hidden.
fn named(mailboxes: &[&Mailbox]) -> String {
    let name = |it: &Mailbox| it.display_name.clone().unwrap_or_default();
    if mailboxes.iter().all(|it| name(it).trim().is_empty()) {
        return String::new();
    }
    let shown = mailboxes.iter().map(|it| match name(it).trim() {
        "" => it.address.clone(),
        name => format!("{name} <{}>", it.address),
    });
    shown.collect::<Vec<_>>().join(", ")
}

/// Section 5.2.2: an empty line ends it.
pub(super) fn in_text<'a>(lines: &str, text: &'a str) -> Cow<'a, str> {
    match lines.is_empty() {
        true => Cow::Borrowed(text),
        false => Cow::Owned(format!("{lines}\n{}", text.trim_start_matches('\u{feff}'))),
    }
}

/// Section 5.2.3: the first element of the body.
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

/// Behind `<body>`; without one behind the head, or whatever else there is before the content.
fn begin_of_body(html: &str) -> usize {
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
    fn it_is_the_first_element_of_the_body() {
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
    fn an_empty_line_parts_it_from_the_text() {
        assert_eq!(in_text(LINES, "a\n"), "Subject: a < b & c\n\na\n");
        assert_eq!(in_text("", "a\n"), "a\n");
    }

    #[test]
    fn names_are_shown_where_they_are_hidden_outside() {
        let mailbox = |text| sendport_core::domain::parse_mailbox(text).unwrap();
        let lines = |it: Displayed, from| it.lines("s", &mailbox(from), &[]);
        assert_eq!(lines(Displayed::Nothing, "A <a@x>"), "");
        assert_eq!(lines(Displayed::Subject, "A <a@x>"), "Subject: s\n");
        assert_eq!(
            lines(Displayed::Names, "Ä <a@x>"),
            "Subject: s\nFrom: Ä <a@x>\n"
        );
        assert_eq!(lines(Displayed::Names, "a@x"), "Subject: s\n");
    }
}
