//! A message that came whole, for a relay without 8BITMIME (RFC 6152 section 3).

use sendport_core::domain::{Message, SubmissionReport};
use sendport_message::received::for_seven_bits;
use sendport_smime::{ProtectionPlan, SecuredMessage, secure};

use super::ReadyMessage;
use super::compose::{aside, signed_by_dkim};
use crate::send_port::SendPort;

impl ReadyMessage {
    /// The message in 7 bits, where the relay was not asked because it does not offer 8BITMIME. Where the message
    /// cannot be written so, the reply in the report says why.
    pub(super) fn for_relay_without_8bitmime(
        &self,
        port: &SendPort,
        report: &mut SubmissionReport,
    ) -> Option<SecuredMessage> {
        if !report.wants_8bitmime() {
            return None;
        }
        let message = &self.message;
        // A header section that is not ASCII has no other form.
        if message.is_international() {
            return None;
        }
        let bytes = message.without_fields_in_front();
        match aside(bytes.len(), || for_seven_bits(bytes)) {
            Ok(bytes) => {
                let message_id = message.message_id().to_owned();
                let message = Message { message_id, bytes };
                let encoded = secure(message, &ProtectionPlan::Unprotected).ok()?;
                match self.message.has_fields_in_front() {
                    true => signed_by_dkim(port, encoded).ok(),
                    false => Some(encoded),
                }
            }
            Err(why) => {
                for said in &mut report.replies {
                    said.reply.text += &format!("; {why}");
                }
                None
            }
        }
    }
}
