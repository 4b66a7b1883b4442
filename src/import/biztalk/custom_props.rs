//! `CustomProps`: the properties of an adapter, as XML in the text of an element.

use std::collections::BTreeMap;

use roxmltree::Node;

use super::xml::{self, BizTalkError};

/// Properties by name in lower case, without passwords.
#[derive(Debug, Clone, Default)]
pub(super) struct CustomProps(BTreeMap<String, String>);

impl CustomProps {
    /// Reads `<CustomProps><From vt="8">...</From>...</CustomProps>`.
    pub(super) fn parse(text: &str) -> Result<Self, BizTalkError> {
        let document = xml::parse(text)?;
        Self::of_element(document.root_element())
    }

    pub(super) fn of_element(root: Node<'_, '_>) -> Result<Self, BizTalkError> {
        let name = root.tag_name().name();
        if name != "CustomProps" {
            return Err(BizTalkError::Root {
                expected: "CustomProps",
                found: name.to_owned(),
            });
        }
        let property = |node: Node<'_, '_>| {
            let name = node.tag_name().name().to_lowercase();
            let value = xml::text(node)?;
            // Not even in memory.
            (!name.contains("password")).then(|| (name, value.to_owned()))
        };
        let elements = root.children().filter(Node::is_element);
        Ok(Self(elements.filter_map(property).collect()))
    }

    /// A property, if it has a value.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(&name.to_lowercase()).map(String::as_str)
    }

    pub(super) fn is_true(&self, name: &str) -> bool {
        self.get(name).is_some_and(xml::is_true)
    }
}
