//! A readable text for a mail that was written in HTML only.

/// Characters to a line.
const WIDTH: usize = 76;
/// Above these, html2text would take seconds: its work grows with the square of the depth.
const LARGEST: usize = 256 * 1024;
const DEEPEST: usize = 200;
/// No end tag needed, or never any (HTML section 13.1.2): they do not nest.
const NOT_NESTING: &[&str] = &[
    "area", "base", "br", "col", "dd", "dt", "embed", "hr", "img", "input", "li", "link", "meta",
    "option", "p", "param", "source", "td", "th", "tr", "track", "wbr",
];
/// What makes a line end in the simple conversion.
const BLOCKS: &[&str] = &[
    "br", "div", "dd", "dt", "h1", "h2", "h3", "h4", "h5", "h6", "hr", "li", "ol", "p", "pre",
    "table", "tr", "ul",
];

/// Text with links as footnotes and tables in columns; style and script are left out. HTML
/// that is too large or too deep for that loses its tags only.
pub(super) fn html_to_text(html: &str) -> String {
    let text = if html.len() <= LARGEST && depth(html) <= DEEPEST {
        laid_out(html)
    } else {
        None
    };
    // An absurd colspan makes html2text lay out nothing at all; a deep quotation multiplies.
    let text = text
        .filter(|text| !text.trim().is_empty() && text.len() <= 2 * html.len() + 4096)
        .unwrap_or_else(|| without_tags(html));
    let lines: Vec<_> = text.lines().map(str::trim_end).collect();
    lines.join("\n").trim_matches('\n').to_owned() + "\n"
}

/// A panic on strange HTML must not cost more than the layout.
fn laid_out(html: &str) -> Option<String> {
    std::panic::catch_unwind(|| {
        html2text::config::plain()
            .no_table_borders()
            .link_footnotes(true)
            .no_link_wrapping()
            .min_wrap_width(20)
            .allow_width_overflow()
            .string_from_read(html.as_bytes(), WIDTH)
            .ok()
    })
    .ok()
    .flatten()
}

/// An upper estimate of how deep elements nest.
fn depth(html: &str) -> usize {
    let (mut depth, mut deepest) = (0_usize, 0);
    for piece in html.split('<').skip(1) {
        let name = tag_name(piece);
        if piece.starts_with('/') {
            depth = depth.saturating_sub(1);
        } else if !name.is_empty() && !NOT_NESTING.contains(&&*name) {
            depth += 1;
            deepest = deepest.max(depth);
        }
    }
    deepest
}

/// The name after a `<` or `</`, in lower case.
fn tag_name(after: &str) -> String {
    let name = after.strip_prefix('/').unwrap_or(after);
    let letters = name.bytes().take_while(u8::is_ascii_alphanumeric).take(10);
    letters
        .map(|b| char::from(b.to_ascii_lowercase()))
        .collect()
}

fn without_tags(html: &str) -> String {
    let mut out = String::new();
    let mut dropped: Option<String> = None;
    for (n, piece) in html.split('<').enumerate() {
        let (tag, text) = match piece.split_once('>') {
            Some((tag, text)) if n > 0 => (tag, text),
            _ if n > 0 => continue,
            _ => ("", piece),
        };
        let name = tag_name(tag);
        match &dropped {
            Some(element) if tag.starts_with('/') && name == *element => dropped = None,
            Some(_) => continue,
            None if !tag.starts_with('/') && ["style", "script", "head"].contains(&&*name) => {
                dropped = Some(name);
                continue;
            }
            None => {}
        }
        if BLOCKS.contains(&&*name) {
            out.push('\n');
        }
        let words: Vec<_> = text.split_whitespace().collect();
        if !words.is_empty() {
            out.push_str(&words.join(" "));
            out.push(' ');
        }
    }
    entities(&out)
}

/// The five entities that escaping makes, and the space that everybody uses.
fn entities(text: &str) -> String {
    text.replace("&nbsp;", " ")
        .replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&quot;", "\"")
        .replace("&#39;", "'")
        .replace("&#x27;", "'")
        .replace("&amp;", "&")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_and_tables_stay_and_style_and_script_go() {
        let text = html_to_text(
            "<html><head><style>p{color:red}</style><title>T</title></head><body><script>x()</script>\
             <h1>Late</h1><p>See <a href=\"https://contoso.com/o?a=1&amp;b=2\">the order</a>.</p>\
             <table><tr><th>Item</th><th>Qty</th></tr><tr><td>Bolt M8</td><td>400</td></tr></table>",
        );
        assert_eq!(
            text,
            "# Late\n\nSee [the order][1].\n\nItem    Qty\nBolt M8 400\n\n[1]: https://contoso.com/o?a=1&b=2\n"
        );
    }

    #[test]
    fn hostile_html_is_converted_in_bounded_time() {
        for html in [
            "<div>".repeat(50_000) + "deep",
            "<b><i>".repeat(50_000) + "deep",
            "<table><tr><td>".repeat(50_000) + "deep",
            "<p>many</p>".repeat(100_000),
            "<".repeat(1_000_000) + ">deep",
            "<table><tr><td colspan=1000000000 rowspan=1000000000>deep many</table>".to_owned(),
            "<blockquote>".repeat(100) + "deep",
        ] {
            let text = html_to_text(&html);
            let start: String = html.chars().take(20).collect();
            assert!(
                text.contains("deep") || text.contains("many"),
                "{start} {text}"
            );
        }
    }

    #[test]
    fn tags_alone_are_dropped_where_layout_is_too_much() {
        let html = format!(
            "<head><style>p {{}}</style></head><p>a &lt; b<br>c{}<script>if (a < b) x</script><p>d &amp;lt;",
            "<div>".repeat(300)
        );
        let text = html_to_text(&html);
        assert!(text.starts_with("a < b\nc"), "{text}");
        assert!(text.ends_with("d &lt;\n"), "{text}");
        assert!(!text.contains("if"), "{text}");
    }
}
