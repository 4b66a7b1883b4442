//! Recipients whose message goes to one address, by a redirect of an operator.

use std::sync::Arc;

use sendport_core::domain::{
    Alert, CommandReply, Fault, ForwardPath, RecipientKind, RecipientStatus,
};
use sendport_core::replies;

use super::recipient_set::{Entry, RecipientSet};
use crate::ComposeError;
use crate::send_port::SendPort;

/// A key of the table of replies.
const ADDRESS_REFUSED: &str = "redirect-address-refused";

/// The forward-path of all recipients that a redirect is about.
#[derive(Debug)]
pub(super) struct Redirected {
    pub(super) path: ForwardPath,
    pub(super) remark: String,
}

impl RecipientSet {
    /// Replaces the address of all that wait by the one of the redirect, if there is one: they get one message, and its
    /// outcome is that of each.
    ///
    /// # Errors
    /// [`ComposeError::Deferred`]: nothing can be sent there, and must not be sent anywhere else.
    pub(crate) fn redirect(&mut self, alert: &Alert, port: &SendPort) -> Result<(), ComposeError> {
        let Some(redirect) = &alert.redirect else {
            return Ok(());
        };
        let address = port.redirect_address(redirect)?;
        let Some(first) = self.waiting_mut().next() else {
            return Ok(());
        };
        let redirected = Arc::new(Redirected {
            path: ForwardPath {
                ordinal: first.recipient.ordinal,
                address,
            },
            remark: redirect.to_string(),
        });
        for entry in self.waiting_mut() {
            entry.recipient.status = RecipientStatus::Queued;
            entry.redirected = Some(redirected.clone());
        }
        self.redirected = Some(redirected);
        Ok(())
    }

    /// What an alert that is final says of its redirect: where it went, and how it failed there.
    pub(super) fn redirect_result(&self) -> Option<String> {
        let remark = &self.redirected.as_ref()?.remark;
        let failed = |entry: &&Entry| {
            let status = entry.recipient.status;
            let failed = matches!(status, RecipientStatus::Failed | RecipientStatus::Expired);
            failed && entry.redirected.is_some()
        };
        let failed = self.entries.iter().find(failed);
        let said = failed.and_then(|entry| Some((entry, entry.reply.as_ref()?)));
        Some(match said {
            None => remark.clone(),
            Some((entry, reply)) if entry.explanation.as_deref() == Some(ADDRESS_REFUSED) => {
                format!("{remark}, and that address was refused: {reply}")
            }
            Some((_, reply)) => format!("{remark}, and failed there: {reply}"),
        })
    }

    /// The reply to the address of a redirect is about each of its recipients.
    pub(super) fn replies_to_each(&self, replies: Vec<CommandReply>) -> Vec<CommandReply> {
        if self.redirected.is_none() {
            return replies;
        }
        let tried = self.entries.iter().filter(|entry| entry.tried);
        let tried: Vec<_> = tried.map(|entry| entry.recipient.ordinal).collect();
        let to_each = |said: CommandReply| -> Vec<CommandReply> {
            let of = |ordinal: &u32| CommandReply {
                ordinal: Some(*ordinal),
                reply: said.reply.clone(),
            };
            match said.ordinal {
                Some(_) => tried.iter().map(of).collect(),
                None => vec![said],
            }
        };
        replies.into_iter().flat_map(to_each).collect()
    }
}

impl Entry {
    /// Of the forward-path, which recipients share under a redirect.
    pub(super) fn path_ordinal(&self) -> u32 {
        let redirected = self.redirected.as_ref();
        redirected.map_or(self.recipient.ordinal, |it| it.path.ordinal)
    }

    /// The key of what explains a refusal. The relay that refuses the address of a redirect says nothing about a
    /// recipient.
    pub(super) fn key_of(&self, explained: Option<&replies::Entry>) -> Option<String> {
        let explained = explained?;
        let is_about_redirect = self.redirected.is_some() && explained.fault == Fault::Recipient;
        Some(match is_about_redirect {
            true => ADDRESS_REFUSED.to_owned(),
            false => explained.key.clone(),
        })
    }

    /// A redirect names its address in the header.
    pub(super) fn kind(&self) -> RecipientKind {
        let redirected = self.redirected.as_ref();
        redirected.map_or(self.recipient.kind, |_| RecipientKind::To)
    }
}
