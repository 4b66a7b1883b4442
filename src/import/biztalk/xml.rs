//! XML within bounds: no document type, so no entities, and no more nodes than a binding file has.

use roxmltree::{Document, Node, ParsingOptions};

use super::super::source_text::SourceTextError;

/// Largest file, in bytes of UTF-8.
const LARGEST: usize = 64 * 1024 * 1024;

/// Most elements, attributes and texts.
const MOST_NODES: u32 = 2_000_000;

/// Why a file cannot be imported.
#[derive(Debug, thiserror::Error)]
pub enum BizTalkError {
    /// Its encoding.
    #[error(transparent)]
    Text(#[from] SourceTextError),
    /// It is too large.
    #[error("it has {0} bytes; a binding file has at most {LARGEST}")]
    TooLarge(usize),
    /// It is no XML, or has a document type.
    #[error("it is no XML that can be read: {0}")]
    Xml(#[from] roxmltree::Error),
    /// XML of something else.
    #[error(
        "expected the element <{expected}>, found <{found}>; export the bindings of the application"
    )]
    Root {
        /// What the root element is called.
        expected: &'static str,
        /// What it is.
        found: String,
    },
    /// Nothing can be imported.
    #[error("it has no send port with the SMTP adapter")]
    NoSmtpSendPort,
}

pub(super) fn parse(text: &str) -> Result<Document<'_>, BizTalkError> {
    if text.len() > LARGEST {
        return Err(BizTalkError::TooLarge(text.len()));
    }
    let options = ParsingOptions {
        allow_dtd: false,
        nodes_limit: MOST_NODES,
        ..ParsingOptions::default()
    };
    Ok(Document::parse_with_options(text, options)?)
}

/// The child element of this name.
pub(super) fn child<'a, 'i>(node: Node<'a, 'i>, name: &str) -> Option<Node<'a, 'i>> {
    node.children().find(|it| it.has_tag_name(name))
}

/// The text of an element, trimmed; `None` where it has none.
pub(super) fn text<'a>(node: Node<'a, '_>) -> Option<&'a str> {
    node.text().map(str::trim).filter(|text| !text.is_empty())
}

pub(super) fn child_text<'a>(node: Node<'a, '_>, name: &str) -> Option<&'a str> {
    text(child(node, name)?)
}

/// `true`, `1` and `-1` (VARIANT_TRUE).
pub(super) fn is_true(text: &str) -> bool {
    ["true", "1", "-1"]
        .iter()
        .any(|word| text.trim().eq_ignore_ascii_case(word))
}
