//! What of a binding file is no email.

use std::collections::BTreeMap;

use super::super::carry::ImportedConfig;
use super::binding::{Binding, SendPort};

/// Send ports of other adapters, by adapter.
#[derive(Default)]
pub(super) struct OtherAdapters(BTreeMap<String, usize>);

impl OtherAdapters {
    pub(super) fn add(&mut self, send_port: &SendPort) {
        let kind = send_port.primary.as_ref().and_then(|it| it.kind.clone());
        let kind = kind.unwrap_or_else(|| "none (dynamic)".to_owned());
        *self.0.entry(kind).or_default() += 1;
    }

    pub(super) fn note(&self, made: &mut ImportedConfig) {
        for (kind, count) in &self.0 {
            made.note(
                format!("send ports with the adapter {kind} ({count})"),
                "they send no email by SMTP; left out",
            );
        }
    }
}

pub(super) fn note(binding: &Binding, made: &mut ImportedConfig) {
    if binding.receive_ports > 0 {
        made.note(
            format!("receive ports ({})", binding.receive_ports),
            "sendport receives no messages: applications insert alerts by SQL; left out",
        );
    }
    if binding.orchestrations > 0 {
        made.note(
            format!("orchestrations ({})", binding.orchestrations),
            "the program that replaces them inserts alerts by SQL; left out",
        );
    }
    for group in &binding.groups {
        made.note(
            format!("send port group '{group}'"),
            "an alert goes to one send port; insert an alert for each, or one with all recipients",
        );
    }
}
