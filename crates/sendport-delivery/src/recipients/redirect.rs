//! Recipients whose message goes to one address, by a redirect of an operator.

use std::sync::Arc;

use sendport_core::domain::{Alert, CommandReply, ForwardPath, RecipientKind, RecipientStatus};

use super::recipient_set::{Entry, RecipientSet};
use crate::ComposeError;
use crate::send_port::SendPort;

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

    /// A redirect names its address in the header.
    pub(super) fn kind(&self) -> RecipientKind {
        let redirected = self.redirected.as_ref();
        redirected.map_or(self.recipient.kind, |_| RecipientKind::To)
    }
}
