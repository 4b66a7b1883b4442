//! The send ports of a binding file.

use roxmltree::Node;

use super::custom_props::CustomProps;
use super::xml::{self, BizTalkError, child, child_text};
use crate::import::source_text::decode;

/// What a binding file says of send ports, and how much else it has.
#[derive(Debug)]
pub struct Binding {
    pub(super) send_ports: Vec<SendPort>,
    pub(super) receive_ports: usize,
    /// Send port groups, each with its name.
    pub(super) groups: Vec<String>,
    pub(super) orchestrations: usize,
}

#[derive(Debug)]
pub(super) struct SendPort {
    pub(super) name: String,
    pub(super) is_static: bool,
    pub(super) is_two_way: bool,
    pub(super) description: Option<String>,
    pub(super) application: Option<String>,
    pub(super) pipeline: Option<String>,
    pub(super) pipeline_data: Option<String>,
    pub(super) primary: Option<Transport>,
    pub(super) secondary: Option<Transport>,
    pub(super) encryption_certificate: Option<String>,
    pub(super) has_filter: bool,
    pub(super) maps: usize,
    pub(super) priority: Option<i64>,
    pub(super) is_ordered: bool,
    pub(super) stops_on_failure: bool,
    pub(super) routes_failed: bool,
}

#[derive(Debug)]
pub(super) struct Transport {
    pub(super) address: String,
    /// Name of the adapter.
    pub(super) kind: Option<String>,
    /// Its properties, or why they cannot be read.
    pub(super) props: Result<CustomProps, BizTalkError>,
    /// As it is written; BizTalk's default where it is not.
    pub(super) retry_count: Option<String>,
    pub(super) retry_minutes: Option<String>,
    pub(super) is_ordered: bool,
    /// `FromTime` and `ToTime`, if the window is enabled.
    pub(super) window: Option<(String, String)>,
    /// Name of the host whose handler it uses.
    pub(super) host: Option<String>,
}

impl SendPort {
    pub(super) fn is_smtp(&self) -> bool {
        self.primary.as_ref().is_some_and(Transport::is_smtp)
    }
}

impl Transport {
    pub(super) fn is_smtp(&self) -> bool {
        let kind = self.kind.as_deref().unwrap_or_default();
        kind.eq_ignore_ascii_case("SMTP")
    }
}

impl Binding {
    /// Reads a binding file, in UTF-8 or UTF-16.
    ///
    /// # Errors
    /// [`BizTalkError`], also where no send port uses the SMTP adapter.
    pub fn read(bytes: &[u8]) -> Result<Self, BizTalkError> {
        let text = decode(bytes)?;
        let document = xml::parse(&text)?;
        let root = document.root_element();
        if !root.has_tag_name("BindingInfo") {
            return Err(BizTalkError::Root {
                expected: "BindingInfo",
                found: root.tag_name().name().to_owned(),
            });
        }
        let all = |collection: &str, item: &'static str| {
            let collections = root.children().filter(|it| it.has_tag_name(collection));
            let items = collections.flat_map(|it| it.children());
            items.filter(|it| it.has_tag_name(item)).collect::<Vec<_>>()
        };
        let send_ports = all("SendPortCollection", "SendPort");
        let groups = all("DistributionListCollection", "DistributionList");
        let services = root.descendants().filter(|it| it.has_tag_name("Service"));
        let binding = Self {
            send_ports: send_ports.into_iter().map(send_port).collect(),
            receive_ports: all("ReceivePortCollection", "ReceivePort").len(),
            groups: groups.into_iter().map(name_of).collect(),
            orchestrations: services.count(),
        };
        match binding.send_ports.iter().any(SendPort::is_smtp) {
            true => Ok(binding),
            false => Err(BizTalkError::NoSmtpSendPort),
        }
    }
}

fn name_of(node: Node<'_, '_>) -> String {
    node.attribute("Name").unwrap_or_default().to_owned()
}

fn send_port(node: Node<'_, '_>) -> SendPort {
    let text = |name: &str| child_text(node, name).map(str::to_owned);
    let is_set = |name: &str| child_text(node, name).is_some_and(xml::is_true);
    let maps = child(node, "Transforms")
        .into_iter()
        .flat_map(|it| it.children());
    SendPort {
        name: name_of(node),
        is_static: node.attribute("IsStatic").is_none_or(xml::is_true),
        is_two_way: node.attribute("IsTwoWay").is_some_and(xml::is_true),
        description: text("Description"),
        application: text("ApplicationName"),
        pipeline: child(node, "TransmitPipeline").map(name_of),
        pipeline_data: text("SendPipelineData"),
        primary: child(node, "PrimaryTransport").map(transport),
        secondary: child(node, "SecondaryTransport").map(transport),
        encryption_certificate: child(node, "EncryptionCert").and_then(certificate),
        has_filter: text("Filter").is_some(),
        maps: maps.filter(Node::is_element).count(),
        priority: child_text(node, "Priority").and_then(|it| it.parse().ok()),
        is_ordered: is_set("OrderedDelivery"),
        stops_on_failure: is_set("StopSendingOnFailure"),
        routes_failed: is_set("RouteFailedMessage"),
    }
}

fn transport(node: Node<'_, '_>) -> Transport {
    let props = child_text(node, "TransportTypeData")
        .map_or(Ok(CustomProps::default()), CustomProps::parse);
    let window = child_text(node, "ServiceWindowEnabled").is_some_and(xml::is_true);
    let time = |name: &str| child_text(node, name).unwrap_or_default().to_owned();
    Transport {
        address: child_text(node, "Address").unwrap_or_default().to_owned(),
        kind: child(node, "TransportType").map(name_of),
        props,
        retry_count: child_text(node, "RetryCount").map(str::to_owned),
        retry_minutes: child_text(node, "RetryInterval").map(str::to_owned),
        is_ordered: child_text(node, "OrderedDelivery").is_some_and(xml::is_true),
        window: window.then(|| (time("FromTime"), time("ToTime"))),
        host: child(node, "SendHandler")
            .map(name_of)
            .filter(|name| !name.is_empty()),
    }
}

/// The thumbprint, or a name where there is none.
fn certificate(node: Node<'_, '_>) -> Option<String> {
    let names = ["ThumbPrint", "Thumbprint", "ShortName", "LongName"];
    let mut values = names.iter().filter_map(|name| node.attribute(*name));
    values
        .find(|value| !value.trim().is_empty())
        .map(str::to_owned)
}
