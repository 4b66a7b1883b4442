//! The MIME/SMIME encoder, as the send port configures it for its pipeline.

use roxmltree::Node;

use super::xml::{self, BizTalkError};

/// Properties of the component that the send port sets; `None` where the pipeline's own value applies.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Encoder {
    pub(super) signature: Option<Signature>,
    pub(super) encrypts: Option<bool>,
    pub(super) body_as_attachment: Option<bool>,
    pub(super) transfer_encoding: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Signature {
    None,
    Clear,
    Blob,
}

impl Encoder {
    /// Reads `SendPipelineData`; `None` where it does not configure the encoder.
    pub(super) fn parse(text: &str) -> Result<Option<Self>, BizTalkError> {
        let document = xml::parse(text)?;
        let is_encoder = |node: &Node<'_, '_>| {
            let name = node.attribute("Name").unwrap_or_default();
            node.has_tag_name("Component") && name.contains("MIME_SMIME_Encoder")
        };
        let component = document.descendants().find(is_encoder);
        Ok(component.map(Self::of_component))
    }

    fn of_component(component: Node<'_, '_>) -> Self {
        let properties = xml::child(component, "Properties");
        let value = |name: &str| xml::child_text(properties?, name);
        Self {
            signature: value("SignatureType").map(|it| match it.to_ascii_lowercase().as_str() {
                "0" | "nosign" => Signature::None,
                "1" | "clearsign" => Signature::Clear,
                _ => Signature::Blob,
            }),
            encrypts: value("EnableEncryption").map(xml::is_true),
            body_as_attachment: value("SendBodyPartAsAttachment").map(xml::is_true),
            transfer_encoding: value("ContentTransferEncoding").map(str::to_owned),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_properties_of_the_encoder_count() {
        let text = r#"<Root><Stages><Stage CategoryId="9d0e4108-4cce-4536-83fa-4a5040674ad6"><Components>
            <Component Name="Microsoft.BizTalk.Component.Other"><Properties><EnableEncryption vt="11">0</EnableEncryption></Properties></Component>
            <Component Name="Microsoft.BizTalk.Component.MIME_SMIME_Encoder"><Properties>
                <SignatureType vt="3">1</SignatureType><EnableEncryption vt="11">-1</EnableEncryption>
            </Properties></Component></Components></Stage></Stages></Root>"#;
        let encoder = Encoder::parse(text).expect("XML").expect("an encoder");
        assert_eq!(encoder.signature, Some(Signature::Clear));
        assert_eq!(encoder.encrypts, Some(true));
        assert_eq!(encoder.body_as_attachment, None);
        assert_eq!(
            Encoder::parse("<Root><Stages /></Root>").expect("XML"),
            None
        );
        assert!(Encoder::parse("Root").is_err());
    }
}
