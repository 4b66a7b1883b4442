//! Targets of links.

/// An attribute's value without its character references (HTML section 13.2.5.73). It holds no `"`.
pub(super) fn decoded(value: &str) -> String {
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

/// The target of a link on one line; `None` where it is of no use in a text, such as a `cid:` URL.
pub(super) fn target(href: &str) -> Option<String> {
    let mut target = decoded(href).trim().to_owned();
    target.retain(|c| !c.is_control());
    let (scheme, _) = target.split_once(':')?;
    let is_scheme = |b: u8| b.is_ascii_alphanumeric() || b"+-.".contains(&b);
    let inner = ["javascript", "data", "cid"];
    let leads = scheme.bytes().all(is_scheme)
        && !inner.iter().any(|inner| scheme.eq_ignore_ascii_case(inner));
    leads.then(|| target.replace(' ', "%20"))
}
