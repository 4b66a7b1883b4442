//! A plain copy of HTML: few elements, properly nested, never deep.
//!
//! The work of an HTML parser grows with the square of depth and of misnesting, so one hostile body
//! could keep a core busy for minutes. With the copy it is linear.

use super::link::{decoded, target};
use super::scan::{after, after_element, attribute, tag_end, tag_name};

/// Elements nested deeper lose their layout, not their text.
const DEEPEST: usize = 40;
/// Further elements also lose their layout: each takes about two kilobytes during the layout.
const MOST_ELEMENTS: usize = 10_000;
/// Elements whose content is not text.
const UNREAD: &[&str] = &["style", "script", "title", "template", "noscript", "svg"];
/// Elements with layout. Others are dropped, and their text stays.
const KEPT: &[&str] = &[
    "blockquote",
    "div",
    "li",
    "ol",
    "p",
    "pre",
    "table",
    "td",
    "th",
    "tr",
    "ul",
];
/// Longer link texts may be wrapped, so their target is repeated at the end of the text.
const SHOWN_WHOLE: usize = 60;

/// The same text in few, properly nested elements. Broken HTML may be read in another way than a
/// browser reads it; the result is well-formed.
pub(super) fn canonical(html: &str) -> Copy {
    let mut copy = Copy::default();
    let mut rest = html;
    while let Some(at) = rest.find('<') {
        copy.out.push_str(&rest[..at].replace('>', "&gt;"));
        rest = &rest[at + 1..];
        if let Some(comment) = rest.strip_prefix("!--") {
            rest = after(comment, "-->");
        } else if rest.starts_with(|c: char| c.is_ascii_alphabetic() || "/!?".contains(c)) {
            let end = tag_end(rest);
            let tag = &rest[..end];
            rest = rest.get(end + 1..).unwrap_or_default();
            let name = tag_name(tag);
            if UNREAD.contains(&&*name) && !tag.starts_with('/') && !tag.ends_with('/') {
                rest = after_element(rest, &name);
            } else {
                copy.tag(tag, &name);
            }
        } else {
            copy.out.push_str("&lt;");
        }
    }
    copy.out.push_str(&rest.replace('>', "&gt;"));
    copy.end_link();
    copy.close_down_to(0);
    copy
}

/// An open link.
struct Link {
    target: String,
    /// Start of its text.
    begin: usize,
    /// Number of open elements around it.
    depth: usize,
}

/// A copy under construction, and the elements that are open in it.
#[derive(Default)]
pub(super) struct Copy {
    pub(super) out: String,
    open: Vec<&'static str>,
    /// Number of elements.
    elements: usize,
    link: Option<Link>,
    /// Targets of the numbered links.
    pub(super) targets: Vec<String>,
}

impl Copy {
    fn tag(&mut self, tag: &str, name: &str) {
        match name {
            "br" | "hr" => self.out.push_str("<br>"),
            "a" => self.link(tag),
            "img" => {
                let alt = attribute(tag, "alt").unwrap_or_default();
                self.out.push_str(&alt);
            }
            _ => {
                let is_heading = matches!(name, "h1" | "h2" | "h3" | "h4" | "h5" | "h6");
                let name = if is_heading { "p" } else { name };
                let Some(kept) = KEPT.iter().copied().find(|kept| *kept == name) else {
                    return;
                };
                if tag.starts_with('/') {
                    self.close(kept);
                } else {
                    self.begin(kept);
                }
            }
        }
    }

    fn begin(&mut self, name: &'static str) {
        // End tags that may be omitted (HTML section 13.1.2.4).
        let ended: &[&str] = match name {
            "tr" => &["p", "td", "th", "tr"],
            "td" | "th" => &["p", "td", "th"],
            "li" => &["p", "li"],
            _ => &["p"],
        };
        while self.open.last().is_some_and(|open| ended.contains(open)) {
            self.close_down_to(self.open.len() - 1);
        }
        if self.open.len() >= DEEPEST {
            return;
        }
        self.elements += 1;
        if self.elements > MOST_ELEMENTS {
            self.out.push(' ');
            return;
        }
        self.out.push_str(&format!("<{name}>"));
        self.open.push(name);
    }

    fn close(&mut self, name: &str) {
        let found = self.open.iter().rposition(|open| *open == name);
        let table = self.open.iter().rposition(|open| *open == "table");
        // A tag in a table cannot close an element outside of it.
        if let Some(at) = found.filter(|at| table.is_none_or(|table| *at >= table)) {
            self.close_down_to(at);
        }
    }

    fn close_down_to(&mut self, depth: usize) {
        if self.link.as_ref().is_some_and(|link| link.depth > depth) {
            self.end_link();
        }
        for name in self.open.drain(depth..).rev() {
            self.out.push_str(&format!("</{name}>"));
        }
    }

    /// Links do not nest.
    fn link(&mut self, tag: &str) {
        self.end_link();
        let target = attribute(tag, "href").and_then(|href| target(&href));
        self.link = target.filter(|_| !tag.starts_with('/')).map(|target| Link {
            target,
            begin: self.out.len(),
            depth: self.open.len(),
        });
    }

    /// Appends a number to the link's text, unless that is the target itself.
    fn end_link(&mut self) {
        let Some(Link { target, begin, .. }) = self.link.take() else {
            return;
        };
        let shown = decoded(&self.out[begin..].replace('"', "&quot;"));
        let whole = target.strip_prefix("mailto:").unwrap_or(&target);
        if shown.trim() == whole && whole.len() <= SHOWN_WHOLE {
            return;
        }
        self.targets.push(target);
        let space = if shown.ends_with(char::is_whitespace) {
            ""
        } else {
            " "
        };
        self.out
            .push_str(&format!("{space}[{}]", self.targets.len()));
    }
}
