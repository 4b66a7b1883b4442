//! An SMTP send port.

use sendport_core::domain::{Charset, Macro};

use super::super::carry::{FixedRetry, ImportedConfig, ImportedPort, Protection};
use super::super::names::Names;
use super::adapter::Relays;
use super::binding::{SendPort, Transport};
use super::encoder::{Encoder, Signature};

/// BizTalk's defaults.
const RETRIES: u64 = 3;
const RETRY_MINUTES: u64 = 5;

/// Most retries, and minutes between two: the administration console takes no more. With these an alert expires first.
const MOST_RETRIES: u64 = 1_000;
const MOST_RETRY_MINUTES: u64 = 525_600;
const PRIORITY: i64 = 5;

/// Pipelines without a MIME/SMIME encoder.
const PLAIN_PIPELINES: [&str; 2] = [
    "Microsoft.BizTalk.DefaultPipelines.PassThruTransmit",
    "Microsoft.BizTalk.DefaultPipelines.XMLTransmit",
];

/// Carries one send port over, which has the SMTP adapter.
pub(super) struct Carrier<'a, 'h> {
    pub(super) send_port: &'a SendPort,
    /// Its primary transport.
    pub(super) primary: &'a Transport,
    pub(super) relays: &'a mut Relays<'h>,
    pub(super) time_zone: Option<&'a str>,
    pub(super) made: &'a mut ImportedConfig,
}

impl<'a> Carrier<'a, '_> {
    pub(super) fn carry(mut self, names: &mut Names) -> ImportedPort {
        let send_port = self.send_port;
        let name = names.unique(&send_port.name, "send-port");
        if name != send_port.name {
            self.note("Name", &format!("the send port's name is '{name}'"));
        }
        let primary = self.primary;
        if let Err(error) = &primary.props {
            self.note("TransportTypeData", &format!("it cannot be read: {error}"));
        }
        let what = self.what("PrimaryTransport");
        let relay = self.relays.of(&what, primary, self.made);
        let from = self.property(primary, "From").unwrap_or_default();
        let from = self.made.mailbox_or_placeholder(&self.what("From"), &from);
        let mut port = ImportedPort::new(name, from, vec![relay]);
        let mut attempts = self.attempts("PrimaryTransport", primary);
        if let Some(backup) = self.usable_backup(primary) {
            let what = self.what("SecondaryTransport");
            let relay = self.relays.of(&what, backup, self.made);
            attempts = attempts.saturating_add(self.attempts("SecondaryTransport", backup));
            if port.relays.contains(&relay) {
                self.note(
                    "SecondaryTransport",
                    "it has the same server; its retries are added",
                );
            } else {
                port.relays.push(relay);
            }
        }
        let minutes = self.number(
            "PrimaryTransport, RetryInterval",
            primary.retry_minutes.as_deref(),
            RETRY_MINUTES,
            MOST_RETRY_MINUTES,
        );
        port.retry = Some(FixedRetry {
            attempts,
            delay_seconds: minutes.saturating_mul(60),
        });
        port.window = self.window(primary);
        port.biztalk_macros = self.has_macros(primary);
        port.charset = self.charset(primary);
        port.asks_for_receipts = primary
            .props
            .as_ref()
            .is_ok_and(|it| it.is_true("DeliveryReceipt"));
        port.protection = self.protection();
        port.remarks = self.remarks(primary);
        self.note_message(primary);
        self.note_rest();
        port
    }

    fn what(&self, property: &str) -> String {
        format!("send port '{}', {property}", self.send_port.name)
    }

    pub(super) fn note(&mut self, property: &str, text: &str) {
        let what = self.what(property);
        self.made.note(what, text);
    }

    fn attempts(&mut self, of: &str, transport: &Transport) -> u32 {
        let retries = self.number(
            &format!("{of}, RetryCount"),
            transport.retry_count.as_deref(),
            RETRIES,
            MOST_RETRIES,
        );
        u32::try_from(retries).unwrap_or(u32::MAX).saturating_add(1)
    }

    /// A number that is 0 or more; one that is none, or too large, is noted.
    fn number(&mut self, property: &str, written: Option<&str>, default: u64, most: u64) -> u64 {
        let Some(written) = written else {
            return default;
        };
        let (value, why) = match written.parse::<u64>() {
            Ok(number) if number <= most => return number,
            Ok(_) => (most, format!("is more than {most}")),
            Err(_) => (default, format!("is no number from 0 to {most}")),
        };
        self.note(property, &format!("'{written}' {why}; {value} is written"));
        value
    }

    fn property(&self, transport: &Transport, name: &str) -> Option<String> {
        self.relays.property(transport, name).map(str::to_owned)
    }

    /// The backup transport, if it sends email too.
    fn usable_backup(&mut self, primary: &Transport) -> Option<&'a Transport> {
        let backup = self.send_port.secondary.as_ref()?;
        let kind = backup.kind.as_deref()?;
        if !backup.is_smtp() {
            let text = format!(
                "its adapter is {kind}, which is left out; a second relay, or one of kind \"file\", can take its \
                 place"
            );
            self.note("SecondaryTransport", &text);
            return None;
        }
        if address(backup) != address(primary) {
            let text = format!(
                "it sends to '{}' instead; the recipients of an alert are the same for all relays",
                address(backup)
            );
            self.note("SecondaryTransport", &text);
        }
        Some(backup)
    }

    fn has_macros(&mut self, transport: &Transport) -> bool {
        let texts = ["Subject", "To", "CC"].map(|name| self.property(transport, name));
        let mut found = false;
        for text in texts
            .into_iter()
            .flatten()
            .chain([transport.address.clone()])
        {
            // Every second part is between two percent signs.
            for name in text.split('%').skip(1).step_by(2) {
                match Macro::named(name) {
                    Some(_) => found = true,
                    None if name.contains(' ') || name.is_empty() => {}
                    None => self.note(
                        "macros",
                        &format!("'%{name}%' is no macro and stays as it is"),
                    ),
                }
            }
        }
        found
    }

    fn charset(&mut self, transport: &Transport) -> Option<Charset> {
        let written = self
            .property(transport, "EmailBodyTextCharset")
            .filter(|_| self.property(transport, "EmailBodyText").is_some())?;
        match Charset::try_from(written.clone()) {
            Ok(charset) if charset == Charset::UTF_8 => None,
            Ok(charset) => Some(charset),
            Err(_) => {
                self.note(
                    "EmailBodyTextCharset",
                    &format!("'{written}' is not known; messages are written in UTF-8"),
                );
                None
            }
        }
    }

    /// What the MIME/SMIME encoder does, as far as the binding file says.
    fn protection(&mut self) -> Option<Protection> {
        let pipeline = self.send_port.pipeline.as_deref().unwrap_or_default();
        let is_plain = pipeline.is_empty() || PLAIN_PIPELINES.contains(&pipeline);
        let encoder = self.encoder();
        let certificate = self.send_port.encryption_certificate.clone();
        if !is_plain {
            let pipeline = pipeline.to_owned();
            self.note_pipeline(&pipeline, encoder.as_ref());
        }
        let encoder = encoder.unwrap_or_default();
        // A binding file contains only what differs from the pipeline.
        let encrypts = encoder
            .encrypts
            .unwrap_or(certificate.is_some() && !is_plain);
        if let Some(certificate) = &certificate {
            let text = match encrypts {
                true => format!(
                    "{certificate}: import the certificate of each recipient with `sendport cert import`; a \
                     message is encrypted to its recipients, not to one certificate of the send port"
                ),
                false => format!(
                    "{certificate}: nothing says that its pipeline encrypts; it is left out"
                ),
            };
            self.note("EncryptionCert", &text);
        }
        let signature = match encoder.signature {
            None | Some(Signature::None) => None,
            Some(Signature::Clear) => Some("clear"),
            Some(Signature::Blob) => Some("opaque"),
        };
        if signature.is_some() {
            self.note(
                "SignatureType",
                "export the signing certificate of the BizTalk group with its private key as PEM, and put it \
                 into the file that certificate_file names",
            );
        }
        (encrypts || signature.is_some()).then_some(Protection {
            signature,
            encrypts,
        })
    }

    fn encoder(&mut self) -> Option<Encoder> {
        let data = self.send_port.pipeline_data.as_deref()?;
        match Encoder::parse(data) {
            Ok(encoder) => encoder,
            Err(error) => {
                self.note("SendPipelineData", &format!("it cannot be read: {error}"));
                None
            }
        }
    }

    fn note_pipeline(&mut self, pipeline: &str, encoder: Option<&Encoder>) {
        let text = match encoder {
            None => format!(
                "a binding file does not contain what the pipeline '{pipeline}' does; if it has a MIME/SMIME \
                 encoder that signs or encrypts, write protection and its sections"
            ),
            Some(_) => format!(
                "a binding file contains of the encoder of '{pipeline}' only what differs from the pipeline; \
                 compare protection with the pipeline's own properties"
            ),
        };
        self.note("TransmitPipeline", &text);
        let Some(encoder) = encoder else { return };
        if encoder.body_as_attachment == Some(true) {
            self.note(
                "SendBodyPartAsAttachment",
                "the application writes that content as a row of Attachment",
            );
        }
        if let Some(encoding) = &encoder.transfer_encoding
            && !encoding.eq_ignore_ascii_case("base64")
        {
            let text = format!(
                "{encoding}: a text's encoding follows from its content; that of an attachment is its column \
                 TransferEncoding"
            );
            self.note("ContentTransferEncoding", &text);
        }
    }

    /// What the message consists of: columns of the alerts.
    fn note_message(&mut self, transport: &Transport) {
        let text_of = |name: &str| self.property(transport, name);
        let own = transport.props.as_ref().ok();
        let is_true = |name: &str| own.is_some_and(|props| props.is_true(name));
        let parts = text_of("MessagePartsAttachments").filter(|it| it != "0");
        let notes = [
            (
                "To, CC, Subject",
                Some("they are columns of each alert; the comment at the section has the values".to_owned()),
            ),
            (
                "EmailBodyText",
                text_of("EmailBodyText")
                    .map(|_| "the application writes it into Body, or a template has it".to_owned()),
            ),
            (
                "EmailBodyFile",
                text_of("EmailBodyFile").map(|file| {
                    format!("the content of '{file}' is the body: make a template of it, or write it into Body")
                }),
            ),
            (
                "Attachments",
                text_of("Attachments").map(|files| {
                    format!("'{files}': the application writes their contents as rows of Attachment")
                }),
            ),
            (
                "MessagePartsAttachments",
                parts.map(|_| "the application writes the parts as rows of Attachment".to_owned()),
            ),
            (
                "ReadReceipt",
                is_true("ReadReceipt").then(|| "the application writes ReadReceipt = 1".to_owned()),
            ),
        ];
        for (property, text) in notes {
            if let Some(text) = text {
                self.note(property, &text);
            }
        }
    }

    /// Properties of the send port without a counterpart.
    fn note_rest(&mut self) {
        let it = self.send_port;
        let notes = [
            (
                it.has_filter,
                "Filter",
                "applications name the send port in the column SendPort; routes do not depend on content",
            ),
            (
                it.maps > 0,
                "Transforms",
                "a template makes the text from the alert's Payload",
            ),
            (
                it.is_two_way,
                "IsTwoWay",
                "a reply is in the view Delivery, and is no message",
            ),
            (
                it.priority.is_some_and(|priority| priority != PRIORITY),
                "Priority",
                "the application writes urgent, normal or low into the column Priority of an alert",
            ),
            (
                it.is_ordered || self.primary.is_ordered,
                "OrderedDelivery",
                "alerts are sent at the same time, in no order",
            ),
            (
                it.stops_on_failure,
                "StopSendingOnFailure",
                "an alert that fails does not stop others; a relay that is down stops all of its alerts",
            ),
            (
                it.routes_failed,
                "RouteFailedMessage",
                "failures are rows of the view FailedDelivery; notify_failures_to sends them by email",
            ),
        ];
        for (_, property, text) in notes.iter().filter(|(applies, ..)| *applies) {
            self.note(property, text);
        }
    }

    /// What an application writes into the alerts of the send port.
    fn remarks(&self, transport: &Transport) -> Vec<String> {
        let send_port = self.send_port;
        let mut remarks = Vec::new();
        let application = send_port.application.iter();
        let description = send_port.description.iter();
        remarks.extend(application.map(|it| format!("Application: {it}")));
        remarks.extend(description.map(|it| format!("Description: {it}")));
        let to = self.property(transport, "To");
        let to = to.unwrap_or_else(|| address(transport).to_owned());
        let columns = [
            ("ToRecipients", Some(to)),
            ("CcRecipients", self.property(transport, "CC")),
            ("Subject", self.property(transport, "Subject")),
        ];
        let columns = columns.into_iter().filter_map(|(column, value)| {
            let value = value.filter(|it| !it.is_empty())?;
            Some(format!("{column} = '{value}'"))
        });
        let columns: Vec<_> = columns.collect();
        if !columns.is_empty() {
            remarks.push(format!("Its alerts: {}", columns.join(", ")));
        }
        remarks
    }
}

/// An address as it was typed, without its scheme.
fn address(transport: &Transport) -> &str {
    let address = transport.address.as_str();
    address.strip_prefix("mailto:").unwrap_or(address)
}
