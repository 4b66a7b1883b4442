//! What an alert would become, without sending it: the dispatcher's own steps up to the relay.

use super::compose::Sources;
use super::roll::{Roll, Rules};
use super::securing::{Certificates, measures, secured};
use super::{Draft, NotComposed, NotSecured, attempts_left, envelope, expiry, window};
use crate::clock::Clock;
use crate::digest;
use crate::domain::{Alert, Envelope, OutcomeKind, Recipient, Reply, SecuredMessage};
use crate::replies::ReplyTable;
use crate::send_port::SendPort;
use crate::smime::HeaderProtected;

/// An alert as it would be submitted.
#[derive(Debug)]
pub struct Preview {
    /// The alert, with BizTalk's macros replaced where its send port does that.
    pub alert: Alert,
    /// The message before protection.
    pub draft: Draft,
    /// What protection makes of it, or why it cannot be given.
    pub secured: Result<SecuredMessage, NotSecured>,
    /// What protection does to the header.
    pub headers: HeaderProtected,
    /// Reverse-path, and the forward-paths that are due.
    pub envelope: Envelope,
    /// The relays in the order in which they would be asked.
    pub relays: Vec<String>,
    /// Everybody, with what was said about those who are not sent to.
    pub recipients: Vec<(Recipient, Option<Reply>)>,
    /// Why it would not be submitted now, although there are recipients.
    pub not_now: Option<String>,
}

/// Goes as far as a dispatcher goes before it asks a relay. Changes nothing.
///
/// # Errors
/// [`NotComposed`]: the alert would fail, or wait for its template.
pub async fn preview(
    mut alert: Alert,
    port: &SendPort,
    sources: &Sources<'_>,
    replies: &ReplyTable,
    clock: &dyn Clock,
) -> Result<Preview, NotComposed> {
    port.resolve_macros(&mut alert);
    let now = clock.now();
    let rules = Rules {
        port,
        replies,
        age: (now - alert.created_at).to_std().unwrap_or_default(),
        chance: 0.0,
        slowed_for: None,
    };
    let mut roll = Roll::call(&alert, &rules);
    let keyring = sources.certificates;
    let certificates =
        Certificates::of_those_waiting(&alert, port, keyring, &mut roll, now).await?;
    let envelope = envelope(&alert, port, certificates.together(roll.forward_paths()));
    let international = envelope.has_international_recipients();
    let attachments = sources.attachments(&alert, port).await?;
    let draft = sources
        .draft(&alert, port, international, &attachments)
        .await?;
    let refused = attempts_left(&alert, port).err().map(|why| why.reason);
    let not_now = expiry(&alert, &rules, now)
        .or(refused)
        .or_else(|| waits(window::wait_for(&alert, port, now)?));
    let paths = &envelope.forward_paths;
    let secured = match measures(&draft, &alert, port, paths, &certificates, now) {
        Ok(measures) => secured(draft.message.clone(), measures).await,
        Err(why) => Err(why),
    };
    Ok(Preview {
        headers: port.protector.headers.of(draft.protection),
        secured,
        draft,
        envelope,
        relays: digest::relay_order(&alert, &port.relays)
            .into_iter()
            .map(str::to_owned)
            .collect(),
        recipients: roll.recipients(),
        not_now,
        alert,
    })
}

fn waits(kind: OutcomeKind) -> Option<String> {
    match kind {
        OutcomeKind::Released { reason, .. } => reason,
        OutcomeKind::Decided(decision) => decision.reason,
    }
}
