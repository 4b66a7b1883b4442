use super::canonical::canonical;
use super::*;

#[test]
fn decodes_character_references_in_link_targets() {
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
fn keeps_links_and_tables_and_drops_style_and_script() {
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
fn writes_text_without_markup() {
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
fn converts_hostile_html_in_bounded_time() {
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
fn repairs_sloppy_html() {
    let canonical = |html| canonical(html).out;
    assert_eq!(
        canonical("<P>a<p>b<UL><li>c<li>d</ul><td>x</td>a < b<x-y>&lt;</x-y>"),
        "<p>a</p><p>b</p><ul><li>c</li><li>d</li></ul><td>x</td>a &lt; b&lt;"
    );
    assert_eq!(
        canonical("<table><tr><td>a<td><b>c<tr><td>d</table></b><a href='x:\"y' title=\"a>b\">e"),
        "<table><tr><td>a</td><td>c</td></tr><tr><td>d</td></tr></table>e [1]"
    );
    assert_eq!(
        canonical("a<STYLE>x</stylex></Style>b<img src=x alt=\"c <d\">e<!-- <p> -->f<br/>"),
        "abc &lt;def<br>"
    );
}

#[test]
fn marks_truncated_text() {
    let text = html_to_text(&"<p>ü</p>".repeat(80_000));
    assert!(text.ends_with("[The rest is in the HTML version of this message.]\n"));
}

#[test]
fn keeps_the_text_without_layout() {
    assert_eq!(without_tags("<p>a</p><p>b"), "\na\n\nb");
}

proptest::proptest! {
    #[test]
    fn converts_any_html(html in "(<|>|/|\"|'|=|<table>|<td>|<p>|</p>|<b>|</b>|<a href=|<li>|<!--|\\PC| ){0,80}") {
        let copy = canonical(&html).out;
        let _ = html_to_text(&html);
        proptest::prop_assert_eq!(canonical(&copy).out, copy);
    }
}
