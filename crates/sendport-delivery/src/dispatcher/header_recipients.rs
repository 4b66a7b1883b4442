//! The message for a relay that sends to the recipients that the header names.

use sendport_core::domain::{Envelope, SubmissionReport};
use sendport_message::header_recipients::{HeaderFit, fit_header};
use sendport_smime::SecuredMessage;
use sendport_smtp::relay::Relay;

use super::ReadyMessage;
use super::compose::{aside, signed_by_dkim};
use super::submit::SubmitJob;

/// How the header of the message was changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum HeaderChange {
    /// It names more recipients, in Bcc.
    BccAdded,
    /// To and Cc name fewer.
    RecipientsRemoved,
}

impl HeaderChange {
    /// Says so in the reply of the relay, which every recipient and the attempt show.
    pub(super) fn note(self, report: &mut SubmissionReport) {
        if self == Self::RecipientsRemoved {
            for said in &mut report.replies {
                let what = "; the header was changed and names only the recipients of this attempt";
                said.reply.append(what);
            }
        }
    }
}

impl ReadyMessage {
    /// The message with a header that names exactly the recipients of `carried`, where its own names others. `None` for
    /// one that fits, for other relays, and for a header that must not be changed, because it is signed or a
    /// client's: the relay then refuses the message.
    pub(super) fn for_relay_by_header(
        &self,
        relay: &dyn Relay,
        job: &SubmitJob<'_>,
        carried: &Envelope,
    ) -> Option<(SecuredMessage, HeaderChange)> {
        if !relay.reads_recipients_from_header() {
            return None;
        }
        let due = carried.forward_paths.iter().map(|path| &path.address);
        let (header, change) = match fit_header(self.message.without_fields_in_front(), due) {
            HeaderFit::Exact => return None,
            HeaderFit::WithBcc(header) => (header, HeaderChange::BccAdded),
            HeaderFit::Rewritten(header) => (header, HeaderChange::RecipientsRemoved),
        };
        let alert = &job.lease.value;
        let is_ours = !alert.origin.is_received() || alert.redirect.is_some();
        let may_change = is_ours && !self.message.has_protected_header();
        if change == HeaderChange::RecipientsRemoved && !may_change {
            return None;
        }
        let was_signed = self.message.has_fields_in_front();
        let message = aside(self.message.bytes().len(), || {
            self.message.with_header(header)
        });
        let message = match was_signed {
            true => signed_by_dkim(job.port, message).ok()?,
            false => message,
        };
        Some((message, change))
    }
}
