//! BizTalk Server: SMTP send ports of a binding file become send ports, and their servers relays.
//!
//! Elements: [SendPort
//! node](https://learn.microsoft.com/biztalk/core/sendport-sendportcollection-node); properties: [SMTP adapter
//! configuration properties](https://learn.microsoft.com/biztalk/core/smtp-adapter-configuration-properties).

mod adapter;
mod binding;
mod custom_props;
mod encoder;
mod handlers;
mod port;
mod rest;
mod window;
mod xml;

use super::carry::ImportedConfig;
use super::names::Names;

pub use binding::Binding;
pub use handlers::Handlers;
pub use xml::BizTalkError;

/// Makes relays and send ports of the SMTP send ports of a binding file.
///
/// `handlers` has what the send ports leave to the adapter's handlers; `time_zone` is that of service windows,
/// an IANA name.
pub fn import(binding: &Binding, handlers: &Handlers, time_zone: Option<&str>) -> ImportedConfig {
    let mut made = ImportedConfig::new("a BizTalk binding file".to_owned());
    let mut relays = adapter::Relays::new(handlers);
    let mut names = Names::default();
    let mut others = rest::OtherAdapters::default();
    for send_port in &binding.send_ports {
        let primary = send_port.primary.as_ref();
        let Some(primary) = primary.filter(|transport| transport.is_smtp()) else {
            others.add(send_port);
            continue;
        };
        if !send_port.is_static {
            made.note(
                format!("send port '{}'", send_port.name),
                "it is dynamic: its addresses and its server come with each message. Applications write them \
                 into their alerts; use another send port for it",
            );
            continue;
        }
        let port = port::Carrier {
            send_port,
            primary,
            relays: &mut relays,
            time_zone,
            made: &mut made,
        };
        let port = port.carry(&mut names);
        made.send_ports.push(port);
    }
    relays.add_to(&mut made);
    others.note(&mut made);
    rest::note(binding, &mut made);
    made
}

#[cfg(test)]
#[path = "import_tests.rs"]
mod tests;
