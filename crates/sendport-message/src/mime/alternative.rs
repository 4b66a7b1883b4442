//! A readable text for a mail that was written in HTML only: for people, so without the marks of a
//! markup language. Where a link leads stands at the end.
//!
//! html2text lays the text out. What it gets is not the HTML as it was written but a plain
//! copy of it, [`canonical`]: few elements, properly nested, never deep. The work of an HTML
//! parser grows with the square of depth and of misnesting, so one hostile body could keep a
//! core busy for minutes; with the copy it is linear.

use parking_lot::Mutex;

/// Characters to a line.
const WIDTH: usize = 76;
/// What comes after this much HTML is left out of the text.
const LARGEST: usize = 512 * 1024;
/// Elements deeper than this lose their layout, not their text.
const DEEPEST: usize = 40;
/// Elements after so many lose their layout, too: each takes about two kilobytes while the text
/// is laid out.
const MOST_ELEMENTS: usize = 10_000;
/// Longer HTML is laid out one after the other, in bytes.
const LONG: usize = 64 * 1024;
/// Elements whose content is no text to read.
const UNREAD: &[&str] = &["style", "script", "title", "template", "noscript", "svg"];
/// Elements that carry layout. All others are passed over, their text stays.
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
/// A link that shows where it leads says so again at the end if it is longer: it may be wrapped.
const SHOWN_WHOLE: usize = 60;

/// Text with links as footnotes and tables in columns; style and script are left out.
pub(super) fn html_to_text(html: &str) -> String {
    let cut = html.floor_char_boundary(LARGEST);
    static ONE_LONG: Mutex<()> = Mutex::new(());
    let alone = (cut > LONG).then(|| ONE_LONG.lock());
    let copy = canonical(&html[..cut]);
    let text = laid_out(&copy.out).unwrap_or_else(|| without_tags(&copy.out));
    drop(alone);
    let lines: Vec<_> = text.lines().map(str::trim_end).collect();
    let mut text = lines.join("\n").trim_matches('\n').to_owned() + "\n";
    for (target, number) in copy.targets.iter().zip(1..) {
        let space = if number == 1 { "\n" } else { "" };
        text += &format!("{space}[{number}] {target}\n");
    }
    if cut < html.len() {
        return text + "\n[The rest is in the HTML version of this message.]\n";
    }
    text
}

/// A panic on strange HTML must not cost more than the layout.
fn laid_out(html: &str) -> Option<String> {
    std::panic::catch_unwind(|| {
        html2text::config::plain()
            .no_table_borders()
            .min_wrap_width(20)
            .allow_width_overflow()
            .string_from_read(html.as_bytes(), WIDTH)
            .ok()
    })
    .ok()
    .flatten()
}

/// The tags of canonical HTML hold no `<` and no `>` of their own.
fn without_tags(html: &str) -> String {
    html.split('<')
        .map(|piece| piece.split_once('>').map_or(piece, |(_, text)| text))
        .collect::<Vec<_>>()
        .join("\n")
}

/// The same text in few, properly nested elements. It need not read broken HTML as a browser
/// does; whatever it makes of it is well-formed.
fn canonical(html: &str) -> Copy {
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

pub(super) fn after<'a>(text: &'a str, end: &str) -> &'a str {
    text.split_once(end).map_or("", |(_, rest)| rest)
}

/// What comes after `</name`; its `>` with it, as a tag without a name would leave it.
pub(super) fn after_element<'a>(text: &'a str, name: &str) -> &'a str {
    let mut rest = text;
    while let Some((_, closing)) = rest.split_once("</") {
        if tag_name(closing) == name {
            return after(closing, ">");
        }
        rest = closing;
    }
    ""
}

/// Where the tag ends: a `>` outside the quotation marks of an attribute's value.
pub(super) fn tag_end(tag: &str) -> usize {
    let mut quote = None;
    let mut previous = b' ';
    for (at, b) in tag.bytes().enumerate() {
        match (b, quote) {
            (b'>', None) => return at,
            (b'"' | b'\'', None) if previous == b'=' => quote = Some(b),
            (b, Some(open)) if b == open => quote = None,
            _ => {}
        }
        previous = b;
    }
    tag.len()
}

/// The name after a `<` or `</`, in lower case.
pub(super) fn tag_name(tag: &str) -> String {
    let name = tag.strip_prefix('/').unwrap_or(tag);
    let letters = name.bytes().take_while(u8::is_ascii_alphanumeric).take(12);
    letters
        .map(|b| char::from(b.to_ascii_lowercase()))
        .collect()
}

/// The value of an attribute, fit to be written between quotation marks.
fn attribute(tag: &str, name: &str) -> Option<String> {
    let lower = tag.to_ascii_lowercase();
    let at = lower.find(&format!(" {name}="))? + name.len() + 2;
    let value = &tag[at..];
    let value = match value.chars().next()? {
        quote @ ('"' | '\'') => value[1..].split(quote).next()?,
        _ => value.split_ascii_whitespace().next()?,
    };
    Some(
        value
            .replace('"', "&quot;")
            .replace('<', "&lt;")
            .replace('>', "&gt;"),
    )
}

/// An attribute's value without its character references (HTML section 13.2.5.73). It holds no `"`.
fn decoded(value: &str) -> String {
    let parse = || {
        let link = format!("<a href=\"{value}\">");
        let page = html2text::config::plain()
            .parse_html(link.as_bytes())
            .ok()?;
        first_attribute(&page.document)
    };
    let references = value.contains('&').then(parse).flatten();
    references.unwrap_or_else(|| value.to_owned())
}

fn first_attribute(node: &html2text::Handle) -> Option<String> {
    if let html2text::Element { attrs, .. } = &node.data
        && let Some(attribute) = attrs.borrow().first()
    {
        return Some(attribute.value.to_string());
    }
    node.children.borrow().iter().find_map(first_attribute)
}

/// Where a link leads, for a line of text; `None` where a reader of text cannot go there.
fn target(href: &str) -> Option<String> {
    let mut target = decoded(href).trim().to_owned();
    target.retain(|c| !c.is_control());
    let (scheme, _) = target.split_once(':')?;
    let is_scheme = |b: u8| b.is_ascii_alphanumeric() || b"+-.".contains(&b);
    let inner = ["javascript", "data", "cid"];
    let leads = scheme.bytes().all(is_scheme)
        && !inner.iter().any(|inner| scheme.eq_ignore_ascii_case(inner));
    leads.then(|| target.replace(' ', "%20"))
}

/// One that is open.
struct Link {
    target: String,
    /// Where its text begins.
    begin: usize,
    /// So many elements are open around it.
    depth: usize,
}

/// A copy in the making, and the elements that are open in it.
#[derive(Default)]
struct Copy {
    out: String,
    open: Vec<&'static str>,
    /// How many there were.
    elements: usize,
    link: Option<Link>,
    /// Where the numbered links lead.
    targets: Vec<String>,
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
        // End tags that HTML lets people leave out (HTML section 13.1.2.4).
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
        // What is open outside a table cannot be closed from within.
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

    /// A number behind the link's text, unless that says where it leads.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_target_of_a_link_has_no_character_references() {
        for href in [
            "https:&#x2f;&#x2f;shop.example&#x2f;a?b=1&amp;c=2",
            "https:&#47;&#47;shop.example&sol;a?b=1&#38;c=2",
            "https://shop.example/a?b=1&c=2",
        ] {
            let text = html_to_text(&format!("<a href=\"{href}\">the shop</a>"));
            assert_eq!(text, "the shop [1]\n\n[1] https://shop.example/a?b=1&c=2\n");
            let text = html_to_text(&format!("<a href=\"{href}\">{href}</a>"));
            assert_eq!(text, "https://shop.example/a?b=1&c=2\n", "says it once");
        }
        let text = html_to_text("<a href='https://b.test/?a=1&copy=2'>b</a>");
        assert!(text.ends_with("[1] https://b.test/?a=1&copy=2\n"), "{text}");
    }

    #[test]
    fn links_and_tables_stay_and_style_and_script_go() {
        let text = html_to_text(
            "<html><head><style>p{color:red}</style><title>T</title></head><body><script>x()</script>\
             <h1>Late</h1><p>See <a href=\"https://contoso.com/o?a=1&amp;b=2\">the order</a>.</p>\
             <table><tr><th>Item</th><th>Qty</th></tr><tr><td>Bolt M8</td><td>400</td></tr></table>",
        );
        assert_eq!(
            text,
            "Late\n\nSee the order [1].\n\nItem    Qty\nBolt M8 400\n\n[1] https://contoso.com/o?a=1&b=2\n"
        );
    }

    #[test]
    fn people_read_no_markup() {
        let long = format!("https://x.example/{}", "way/".repeat(30));
        for (html, text) in [
            (
                "<h1>Disk</h1><p>Only <b>4 %</b> of <i>C:</i> left</p>",
                "Disk\n\nOnly 4 % of C: left\n",
            ),
            (
                "<p><code>DBCC</code> on <strong><em>SQL07</em></strong></p>",
                "DBCC on SQL07\n",
            ),
            (
                "<a href='https://x.example/'>https://x.example/</a> <a href=mailto:a@x.example>a@x.example</a>",
                "https://x.example/ a@x.example\n",
            ),
            (
                "<a href='#top'>Top</a>, <a href='javascript:x()'>run</a>, <a name=here>here</a>",
                "Top, run, here\n",
            ),
            (
                &format!(
                    "<table><tr><td>SQL07<td><a href='{long}'>graph</a><td><a href=tel:1>call</a></table>"
                ),
                &format!("SQL07 graph [1] call [2]\n\n[1] {long}\n[2] tel:1\n"),
            ),
            (
                "<ul><li>one</li><li>two</li></ul><ol><li>x</ol>",
                "* one\n* two\n1. x\n",
            ),
        ] {
            assert_eq!(html_to_text(html), text, "{html}");
        }
        let shown = html_to_text(&format!("<a href={long}>{long}</a>"));
        assert!(shown.ends_with(&format!("\n[1] {long}\n")), "{shown}");
    }

    #[test]
    fn hostile_html_is_converted_in_bounded_time() {
        let misnested: String = (0..20_000).map(|n| format!("<p><b id={n}></p>")).collect();
        for html in [
            "<div>".repeat(100_000) + "deep",
            "<b><i>".repeat(50_000) + "deep",
            "<table><tr><td>".repeat(30_000) + "deep",
            "<ul><li>".repeat(50_000) + "deep",
            "<div title=\"</div>\">".repeat(20_000) + "deep",
            "<div><object></div></object>".repeat(15_000) + "deep",
            "<li><dd>".repeat(50_000) + "deep",
            misnested + "deep",
            "<p>deep</p>".repeat(40_000),
            "<".repeat(100_000) + ">deep",
            "</".repeat(100_000) + ">deep",
            "<!--".repeat(100_000) + "-->deep",
            "<script></".repeat(50_000) + "</script>deep",
            "<table><tr><td colspan=1000000000 rowspan=1000000000>deep</table>".to_owned(),
            "<blockquote>".repeat(100) + "deep",
        ] {
            let text = html_to_text(&html);
            let start: String = html.chars().take(20).collect();
            assert!(text.contains("deep"), "{start} {text}");
        }
    }

    #[test]
    fn sloppy_html_is_read_as_it_was_meant() {
        let canonical = |html| canonical(html).out;
        assert_eq!(
            canonical("<P>a<p>b<UL><li>c<li>d</ul><td>x</td>a < b<x-y>&lt;</x-y>"),
            "<p>a</p><p>b</p><ul><li>c</li><li>d</li></ul><td>x</td>a &lt; b&lt;"
        );
        assert_eq!(
            canonical(
                "<table><tr><td>a<td><b>c<tr><td>d</table></b><a href='x:\"y' title=\"a>b\">e"
            ),
            "<table><tr><td>a</td><td>c</td></tr><tr><td>d</td></tr></table>e [1]"
        );
        assert_eq!(
            canonical("a<STYLE>x</stylex></Style>b<img src=x alt=\"c <d\">e<!-- <p> -->f<br/>"),
            "abc &lt;def<br>"
        );
    }

    #[test]
    fn what_is_too_long_says_so() {
        let text = html_to_text(&"<p>ü</p>".repeat(80_000));
        assert!(text.ends_with("[The rest is in the HTML version of this message.]\n"));
    }

    #[test]
    fn without_layout_the_text_stays() {
        assert_eq!(without_tags("<p>a</p><p>b"), "\na\n\nb");
    }

    proptest::proptest! {
        #[test]
        fn any_html_is_converted(html in "(<|>|/|\"|'|=|<table>|<td>|<p>|</p>|<b>|</b>|<a href=|<li>|<!--|\\PC| ){0,80}") {
            let copy = canonical(&html).out;
            let _ = html_to_text(&html);
            proptest::prop_assert_eq!(canonical(&copy).out, copy);
        }
    }
}
