//! The recipients of one alert while it is worked on, and the status of each.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use sendport_core::domain::{
    Address, Alert, AlertStatus, Attempt, AttemptKey, AttemptOutcome, Decision, Disposition,
    ForwardPath, InDoubt, Limit, Recipient, RecipientKind, RecipientOutcome, RecipientStatus,
    Reply, SubmissionEnd, SubmissionReport, expand_recipients, status_of,
};
use sendport_core::replies::{ReplyTable, fault_of};
use sendport_core::retry::{Circumstances, decide};
use sendport_smime::SecuredMessage;

use super::reach::{deciding_reply, ended_at, is_at_work, was_left_out};
use super::redirect::Redirected;
use crate::relays::domains::BlockedDomain;
use crate::send_port::{Refusal, SendPort};

/// One recipient: what is known, whether its row is new or changed, and why.
pub(super) struct Entry {
    pub(super) recipient: Recipient,
    changed: bool,
    pub(super) tried: bool,
    /// The relay refused for a limit, which spends nothing.
    limited: bool,
    relay: Option<String>,
    pub(super) reply: Option<Reply>,
    pub(super) explanation: Option<String>,
    remark: Option<String>,
    /// It goes without the encryption that was asked for: the remark, once it is relayed.
    unencrypted_remark: Option<String>,
    retry_in: Option<Duration>,
    /// It goes to one address, together with all others that wait.
    pub(super) redirected: Option<Arc<Redirected>>,
}

/// Everything that stays the same while the recipients of one alert are decided about.
pub(crate) struct Rules<'a> {
    pub(crate) port: &'a SendPort,
    pub(crate) replies: &'a ReplyTable,
    pub(crate) age: Duration,
    pub(crate) chance: f64,
    /// The relay was asked for too much; it may be asked again after this.
    pub(crate) throttled_for: Option<Duration>,
    /// The transaction was for one domain: the recipients of others are independent of it.
    pub(crate) of_one_domain: bool,
}

/// The recipients of one alert.
pub(crate) struct RecipientSet {
    pub(super) entries: Vec<Entry>,
    attempts_before: u32,
    reason: Option<String>,
    pub(super) redirected: Option<Arc<Redirected>>,
}

impl RecipientSet {
    /// Calls the recipients: their rows, or on the first attempt the alert's lists.
    pub(crate) fn load(alert: &Alert, rules: &Rules<'_>) -> Self {
        let first = alert.recipients.is_empty();
        let recipients = if first {
            expand_recipients(alert)
        } else {
            alert.recipients.clone()
        };
        let mut recipients = Self {
            entries: recipients
                .into_iter()
                .map(|r| Entry::new(r, first, rules))
                .collect(),
            attempts_before: alert.attempt_count,
            reason: None,
            redirected: None,
        };
        // The domain that a redirect sends to is checked instead.
        if !alert.origin.is_notification() && alert.redirect.is_none() {
            recipients.refuse_domains(rules);
        }
        recipients
    }

    fn refuse_domains(&mut self, rules: &Rules<'_>) {
        for entry in self.waiting_mut() {
            let address = entry.address();
            if let Some(reply) = address.and_then(|it| rules.port.refuse_recipient(it)) {
                entry.fail(reply, rules.replies);
            }
        }
    }

    pub(super) fn waiting_mut(&mut self) -> impl Iterator<Item = &mut Entry> {
        self.entries
            .iter_mut()
            .filter(|entry| entry.recipient.status.is_waiting())
    }

    /// Those that are due. Recipients left out of a transaction go first. Addresses beyond ASCII go
    /// last: SMTPUTF8 binds every server that a message passes, so the others must not need it.
    pub(crate) fn forward_paths(&self) -> Vec<ForwardPath> {
        let due = self.due_status();
        let is_due = |entry: &&Entry| entry.recipient.status == due;
        let mut paths: Vec<_> = self
            .entries
            .iter()
            .filter(is_due)
            .filter_map(Entry::path)
            .collect();
        paths.dedup_by_key(|path| path.ordinal);
        let is_ascii = |path: &ForwardPath| !path.address.is_international();
        let ascii = paths.iter().any(is_ascii);
        paths.retain(|path| is_ascii(path) == ascii);
        paths
    }

    /// All waiting recipients, due or not.
    pub(crate) fn waiting_paths(&self) -> Vec<ForwardPath> {
        let path = |(_, path)| path;
        self.waiting().map(path).collect()
    }

    /// All recipients, with the reply about each.
    pub(crate) fn recipients(&self) -> Vec<(Recipient, Option<Reply>)> {
        let both = |entry: &Entry| (entry.recipient.clone(), entry.reply.clone());
        self.entries.iter().map(both).collect()
    }

    fn due_status(&self) -> RecipientStatus {
        let queued = |entry: &Entry| entry.recipient.status == RecipientStatus::Queued;
        if self.entries.iter().any(queued) {
            RecipientStatus::Queued
        } else {
            RecipientStatus::Delayed
        }
    }

    /// Fails all waiting recipients, for a reason of our own. Nothing of them was redirected.
    pub(crate) fn refuse(&mut self, refusal: &Refusal) {
        self.reason = Some(refusal.reason.clone());
        self.redirected = None;
        for entry in self.waiting_mut() {
            entry.redirected = None;
            entry.recipient.status = RecipientStatus::Failed;
            entry.changed = true;
            entry.reply = Some(refusal.reply());
            entry.explanation = Some(refusal.explanation.to_owned());
        }
    }

    /// The waiting recipients.
    pub(crate) fn waiting(&self) -> impl Iterator<Item = (RecipientKind, ForwardPath)> {
        let waiting = self.entries.iter();
        let waiting = waiting.filter(|entry| entry.recipient.status.is_waiting());
        let waiting = waiting.filter_map(|entry| Some((entry.kind(), entry.path()?)));
        let mut waiting: Vec<_> = waiting.collect();
        waiting.dedup_by_key(|(_, path)| path.ordinal);
        waiting.into_iter()
    }

    /// Fails some waiting recipients, each for a reason of its own. Where no recipient is left, the first is
    /// the alert's.
    pub(crate) fn refuse_each(&mut self, refused: &[(u32, Refusal)]) {
        let refused: BTreeMap<_, _> = refused.iter().map(|(of, why)| (*of, why)).collect();
        for entry in self.waiting_mut() {
            if let Some(refusal) = refused.get(&entry.path_ordinal()) {
                entry.recipient.status = RecipientStatus::Failed;
                entry.changed = true;
                entry.reply = Some(refusal.reply_to_recipient());
                entry.explanation = Some(refusal.explanation.to_owned());
            }
        }
        if self.waiting_mut().next().is_none() {
            let first = refused.values().next();
            self.reason = first.map(|refusal| refusal.reason.clone());
        }
    }

    /// Some waiting recipients get an unencrypted message, each with a remark about it.
    pub(crate) fn send_unencrypted(&mut self, remarks: impl Iterator<Item = (u32, String)>) {
        let remarks: BTreeMap<_, _> = remarks.collect();
        for entry in self.waiting_mut() {
            entry.unencrypted_remark = remarks.get(&entry.path_ordinal()).cloned();
        }
    }

    /// Why a recipient gets an unencrypted message.
    pub(crate) fn unencrypted_remark(&self, ordinal: u32) -> Option<&str> {
        let mut entries = self.entries.iter();
        let entry = entries.find(|entry| entry.recipient.ordinal == ordinal)?;
        entry.unencrypted_remark.as_deref()
    }

    /// A recipient has it already.
    pub(crate) fn has_relayed(&self) -> bool {
        let relayed = |entry: &Entry| entry.recipient.status == RecipientStatus::Relayed;
        self.entries.iter().any(relayed)
    }

    /// Decides about all recipients of the transaction: `carried`, of those that were due.
    pub(crate) fn apply(
        &mut self,
        relay: &str,
        carried: &[ForwardPath],
        report: &SubmissionReport,
        rules: &Rules<'_>,
    ) {
        let ended_at = ended_at(report, carried, rules.replies);
        let carried: HashSet<u32> = carried.iter().map(|path| path.ordinal).collect();
        let of_recipients: HashMap<u32, &Reply> = report
            .replies
            .iter()
            .filter_map(|r| r.ordinal.map(|ordinal| (ordinal, &r.reply)))
            .collect();
        let due = self.due_status();
        for entry in self.waiting_mut() {
            let ordinal = entry.path_ordinal();
            if carried.contains(&ordinal) {
                let own = of_recipients.get(&ordinal).copied();
                let taken = own.is_none_or(Reply::is_success);
                let elsewhere = taken && ended_at.is_some_and(|at| at != ordinal);
                entry.take_part(relay, report, (own, elsewhere), rules);
            } else if entry.recipient.status == due {
                entry.queue_again();
            }
        }
        self.plan_next(rules.of_one_domain || is_at_work(report), rules);
    }

    /// When each recipient that still waits is due, independent of the others.
    fn plan_next(&mut self, at_work: bool, rules: &Rules<'_>) {
        for entry in self.waiting_mut() {
            let queued = entry.recipient.status == RecipientStatus::Queued;
            let attempt = entry.recipient.attempt_count.max(1);
            let delay = || match rules.throttled_for {
                _ if queued && at_work => Duration::ZERO,
                Some(wait) => wait,
                None => rules.port.retry.delay_after(attempt, rules.chance),
            };
            entry.retry_in.get_or_insert_with(delay);
        }
    }

    /// Nothing could be submitted to the mail hosts of these domains. That spends no attempt. The due
    /// recipients of other domains are tried at once.
    pub(crate) fn wait_for(&mut self, domains: &[BlockedDomain], replies: &ReplyTable) {
        let of_ordinals: HashMap<u32, &BlockedDomain> = domains
            .iter()
            .flat_map(|domain| domain.paths.iter().map(move |path| (path.ordinal, domain)))
            .collect();
        let due = self.due_status();
        for entry in self.waiting_mut() {
            match of_ordinals.get(&entry.path_ordinal()) {
                Some(domain) => entry.wait_for(domain, replies),
                None if entry.recipient.status == due => {
                    entry.queue_again();
                    entry.retry_in = Some(Duration::ZERO);
                }
                None => {}
            }
        }
        let names: Vec<_> = domains.iter().map(|it| it.domain.as_str()).collect();
        let shown = names[..names.len().min(3)].join(", ");
        let more = match names.len() {
            0..=3 => String::new(),
            count => format!(" and {} more domains", count - 3),
        };
        self.reason = Some(format!("waits for the mail hosts of {shown}{more}"));
    }

    /// A remark about each recipient that this transaction relayed.
    pub(crate) fn remark(&mut self, remark: Option<&str>) {
        let relayed = |entry: &&mut Entry| {
            let is_relayed = entry.recipient.status == RecipientStatus::Relayed;
            entry.tried && is_relayed && entry.remark.is_none()
        };
        for entry in self.entries.iter_mut().filter(relayed) {
            let both = entry
                .unencrypted_remark
                .as_deref()
                .into_iter()
                .chain(remark);
            let both: Vec<_> = both.collect();
            entry.remark = (!both.is_empty()).then(|| both.join("; "));
        }
    }

    /// The transaction, as it is to be written down. `None` where all of it was refused for a
    /// limit, which may happen any number of times: then it is the alert's reason.
    pub(crate) fn attempt(
        &mut self,
        key: AttemptKey,
        relay: &str,
        report: SubmissionReport,
        message: &SecuredMessage,
    ) -> Option<Attempt> {
        let mut tried = self.entries.iter().filter(|entry| entry.tried);
        if tried.clone().next().is_some() && tried.all(|entry| entry.limited) {
            self.wait_for_limits(relay);
            return None;
        }
        Some(Attempt {
            key,
            number: self.attempts_before + 1,
            relay: relay.to_owned(),
            started_at: report.started_at,
            ended_at: report.ended_at,
            outcome: self.attempt_outcome(&report.end),
            message_id: message.message_id().to_owned(),
            size_bytes: message.bytes().len() as u64,
            protection: message.protection().to_owned(),
            protected: message.protected().clone(),
            redirect_to: self
                .redirected
                .as_ref()
                .map(|it| it.path.address.to_string()),
            facts: report.facts,
            replies: self.replies_to_each(report.replies),
        })
    }

    fn wait_for_limits(&mut self, relay: &str) {
        let limited = self.entries.iter().find(|entry| entry.limited);
        if let Some(reply) = limited.and_then(|entry| entry.reply.as_ref()) {
            self.reason = Some(format!("waits for the limits of relay {relay}: {reply}"));
        }
    }

    fn attempt_outcome(&self, end: &SubmissionEnd) -> AttemptOutcome {
        let tried = || self.entries.iter().filter(|entry| entry.tried);
        let count = |status| {
            tried()
                .filter(|entry| entry.recipient.status == status)
                .count()
        };
        let relayed = count(RecipientStatus::Relayed);
        if *end == SubmissionEnd::InDoubt {
            AttemptOutcome::Unknown
        } else if relayed == tried().count() {
            AttemptOutcome::Relayed
        } else if relayed > 0 {
            AttemptOutcome::Partial
        } else if count(RecipientStatus::Delayed) + count(RecipientStatus::Queued) > 0 {
            AttemptOutcome::Delayed
        } else {
            AttemptOutcome::Failed
        }
    }

    /// What was decided, with a transaction or without. Where its end was not seen, the send
    /// port may want an operator to look first.
    pub(crate) fn into_decision(
        self,
        attempt: Option<Attempt>,
        in_doubt: InDoubt,
        template_version: Option<String>,
    ) -> Decision {
        let status = status_of(self.entries.iter().map(|entry| entry.recipient.status));
        let retry_in = self.entries.iter().filter_map(|entry| entry.retry_in).min();
        let unseen = attempt
            .as_ref()
            .is_some_and(|a| a.outcome == AttemptOutcome::Unknown);
        let held = unseen && in_doubt == InDoubt::Hold && status == AlertStatus::Delayed;
        let reason = match (held, self.entries.is_empty()) {
            (true, _) => Some(HELD_IN_DOUBT.to_owned()),
            (_, true) => Some(self.reason.unwrap_or_else(|| NO_ADDRESS.to_owned())),
            _ if status.is_final() => self.reason.clone().or_else(|| self.redirect_result()),
            _ => self.reason,
        };
        let changed = self.entries.into_iter().filter(|entry| entry.changed);
        Decision {
            status: if held { AlertStatus::Held } else { status },
            retry_in: retry_in.filter(|_| !held),
            reason,
            attempt,
            recipients: changed.map(Entry::into_outcome).collect(),
            template_version,
        }
    }
}

/// Why an alert without recipients fails.
const NO_ADDRESS: &str = "ToRecipients, CcRecipients and BccRecipients hold no address";

/// The remark of a recipient that a requeue did not reach in time.
const EXPIRED_AGAIN: &str = "relayed before the requeue; sending it again expired";

/// Why an alert in doubt waits.
const HELD_IN_DOUBT: &str = "in doubt: the relay may have taken it; look there for the Message-ID, then use sendport resolve";

impl Entry {
    fn new(recipient: Recipient, first: bool, rules: &Rules<'_>) -> Self {
        let refusal = recipient.address.refusal();
        let mut entry = Self {
            recipient,
            changed: first,
            reply: None,
            explanation: None,
            tried: false,
            limited: false,
            relay: None,
            remark: None,
            unencrypted_remark: None,
            retry_in: None,
            redirected: None,
        };
        let is_open = first || entry.recipient.status.is_waiting();
        if let Some(refusal) = refusal.filter(|_| is_open) {
            entry.fail(refusal, rules.replies);
        }
        entry
    }

    /// `None` where it has none, and gets nothing.
    fn address(&self) -> Option<&Address> {
        self.recipient.address.mailbox().map(|it| &it.address)
    }

    fn path(&self) -> Option<ForwardPath> {
        if let Some(redirected) = &self.redirected {
            return Some(redirected.path.clone());
        }
        Some(ForwardPath {
            ordinal: self.recipient.ordinal,
            address: self.address()?.clone(),
        })
    }

    fn fail(&mut self, reply: Reply, replies: &ReplyTable) {
        self.recipient.status = RecipientStatus::Failed;
        self.changed = true;
        self.explanation = key(replies, &reply);
        self.reply = Some(reply);
    }

    fn take_part(
        &mut self,
        relay: &str,
        report: &SubmissionReport,
        (own, ended_elsewhere): (Option<&Reply>, bool),
        rules: &Rules<'_>,
    ) {
        let reply = deciding_reply(report, own);
        self.tried = true;
        self.relay = Some(relay.to_owned());
        if ended_elsewhere || was_left_out(report, own, rules.replies) {
            self.queue_again();
            self.explanation = key(rules.replies, &reply);
            self.reply = Some(reply);
        } else {
            self.changed = true;
            self.settle(reply, rules);
        }
    }

    fn wait_for(&mut self, domain: &BlockedDomain, replies: &ReplyTable) {
        self.retry_in = Some(domain.wait);
        if let Some(reply) = &domain.reply {
            self.changed = true;
            self.relay = Some(domain.relay.clone());
            self.recipient.status = RecipientStatus::Delayed;
            self.explanation = key(replies, reply);
            self.reply = Some(reply.clone());
        }
    }

    /// Another transaction has to carry it; what happened so far counts for the others.
    fn queue_again(&mut self) {
        self.changed = true;
        self.recipient.status = RecipientStatus::Queued;
    }

    fn settle(&mut self, reply: Reply, rules: &Rules<'_>) {
        let refused = !reply.is_success();
        let entry = refused.then(|| rules.replies.explain(&reply)).flatten();
        let limit = entry.and_then(|entry| entry.limit);
        // The limits see to it that the relay is not asked for too much again.
        let limited_for = limit.and(rules.throttled_for);
        self.limited = limited_for.is_some() && limit != Some(Limit::Recipients);
        self.recipient.attempt_count += u32::from(!self.limited);
        let given = Circumstances {
            attempt: self.recipient.attempt_count,
            reply: &reply,
            fault: fault_of(entry),
            limited_for: limited_for.filter(|_| self.limited),
            age: rules.age,
            chance: rules.chance,
        };
        self.recipient.status = match decide(&rules.port.retry, given) {
            Disposition::Relayed => RecipientStatus::Relayed,
            Disposition::Fail => RecipientStatus::Failed,
            Disposition::Expire => RecipientStatus::Expired,
            Disposition::RetryIn(delay) => {
                self.retry_in = Some(limited_for.unwrap_or(delay));
                RecipientStatus::Delayed
            }
        };
        self.explanation = self.key_of(entry);
        self.reply = Some(reply);
        self.keep_relayed();
    }

    /// That the time for sending again ran out does not hide that the first message was relayed.
    fn keep_relayed(&mut self) {
        let it = &mut self.recipient;
        if it.was_relayed && it.status == RecipientStatus::Expired {
            it.status = RecipientStatus::Relayed;
            self.explanation = None;
            self.remark = Some(EXPIRED_AGAIN.to_owned());
            self.redirected = None;
        }
    }

    fn into_outcome(self) -> RecipientOutcome {
        let redirected = self.redirected.as_ref();
        let remarks = redirected.map(|it| it.remark.clone()).into_iter();
        let remarks: Vec<_> = remarks.chain(self.remark).collect();
        RecipientOutcome {
            ordinal: self.recipient.ordinal,
            kind: self.recipient.kind,
            address: self.recipient.address,
            status: self.recipient.status,
            attempt_count: self.recipient.attempt_count,
            relay: self.relay,
            reply: self.reply,
            explanation: self.explanation,
            remark: (!remarks.is_empty()).then(|| remarks.join("; ")),
            redirect_to: redirected.map(|it| it.path.address.to_string()),
        }
    }
}

fn key(replies: &ReplyTable, reply: &Reply) -> Option<String> {
    replies.explain(reply).map(|entry| entry.key.clone())
}

#[cfg(test)]
#[path = "recipient_set_tests.rs"]
mod tests;
