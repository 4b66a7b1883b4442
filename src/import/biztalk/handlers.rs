//! The send handlers of the SMTP adapter, which have what a send port leaves empty.

use std::collections::BTreeMap;

use super::custom_props::CustomProps;
use super::xml::{self, BizTalkError};
use crate::import::source_text::decode;

/// Handlers by the name of their host.
#[derive(Debug, Clone, Default)]
pub struct Handlers {
    by_host: BTreeMap<String, CustomProps>,
    default: Option<CustomProps>,
}

impl Handlers {
    /// Reads `<SendHandlers><SendHandler HostName="..." IsDefault="...">CustomProps</SendHandler>...`, or the
    /// `CustomProps` of one handler.
    ///
    /// # Errors
    /// [`BizTalkError`].
    pub fn read(bytes: &[u8]) -> Result<Self, BizTalkError> {
        let text = decode(bytes)?;
        let document = xml::parse(&text)?;
        let root = document.root_element();
        if root.has_tag_name("CustomProps") {
            return Ok(Self {
                by_host: BTreeMap::new(),
                default: Some(CustomProps::of_element(root)?),
            });
        }
        if !root.has_tag_name("SendHandlers") {
            return Err(BizTalkError::Root {
                expected: "SendHandlers",
                found: root.tag_name().name().to_owned(),
            });
        }
        let mut handlers = Self::default();
        for node in root.children().filter(|it| it.has_tag_name("SendHandler")) {
            let props = match (xml::child(node, "CustomProps"), xml::text(node)) {
                (Some(element), _) => CustomProps::of_element(element)?,
                (None, Some(text)) => CustomProps::parse(text)?,
                (None, None) => CustomProps::default(),
            };
            if node.attribute("IsDefault").is_some_and(xml::is_true) {
                handlers.default = Some(props.clone());
            }
            let host = node.attribute("HostName").unwrap_or_default();
            handlers.by_host.insert(host.trim().to_lowercase(), props);
        }
        if handlers.default.is_none() && handlers.by_host.len() == 1 {
            handlers.default = handlers.by_host.values().next().cloned();
        }
        Ok(handlers)
    }

    /// The handler of a host, or the default one.
    pub(super) fn of_host(&self, host: Option<&str>) -> Option<&CustomProps> {
        let named = host.and_then(|host| self.by_host.get(&host.trim().to_lowercase()));
        named.or(self.default.as_ref())
    }
}
