//! The limits of one relay for one instance. Pure: callers pass the time.

use std::time::{Duration, Instant};

use sendport_core::domain::{Limit, Membership};

use super::adaptive_limit::AdaptiveLimit;
use super::recipient_limit::RecipientLimit;
use super::share::{Share, ShareWait};
use super::window::Window;
use crate::settings::limits::{Limits, Rate};

/// The window of a learned rate if none is configured.
const WINDOW: Duration = Duration::from_secs(60);

/// The wait if no connection is available at all.
const NO_CONNECTION: Duration = Duration::from_secs(1);

/// The wait for the message that tries a higher level.
const TRY_UNDER_WAY: Duration = Duration::from_millis(200);

/// A permit to submit one message. Return it with [`Budget::end`].
#[derive(Debug, Clone, Copy)]
pub(super) struct Ticket {
    begun: Instant,
    tries_rate: bool,
    tries_connection: bool,
}

/// The end of a message, for the limits.
#[derive(Debug, Default)]
pub(super) struct TransactionUsage<'r> {
    /// Transactions that reached MAIL.
    pub(super) sent: u32,
    /// The relay took responsibility.
    pub(super) accepted: bool,
    /// The reply "slower".
    pub(super) refusal: Option<LimitRefusal<'r>>,
    /// Recipients that were accepted when the connection ended among them.
    pub(super) ended_behind: Option<u32>,
}

/// A reply that means "slower".
#[derive(Debug)]
pub(super) struct LimitRefusal<'r> {
    pub(super) limit: Limit,
    /// The reply to a new connection, not to a transaction.
    pub(super) before_mail: bool,
    /// Others that worked at the same time: connections if `before_mail`, else transactions.
    pub(super) others: u32,
    /// Recipients that were accepted before.
    pub(super) recipients: u32,
    pub(super) reply: &'r str,
}

#[cfg(test)]
impl Ticket {
    pub(super) fn tries_rate(self) -> bool {
        self.tries_rate
    }

    pub(super) fn tries_connection(self) -> bool {
        self.tries_connection
    }
}

#[derive(Debug)]
pub(super) struct Budget {
    limits: Limits,
    share: Share,
    /// The others keep to shares that leave this instance its own.
    acknowledged: bool,
    messages: Window,
    connects: Window,
    rate: Option<AdaptiveLimit>,
    connections: Option<AdaptiveLimit>,
    /// The highest number of connections that worked since one more was tried.
    worked: u32,
    /// It refused a connection, not a transaction: it accepts those that are open.
    refuses_connections: bool,
    recipients: RecipientLimit,
}

impl Budget {
    /// Without use, learned levels, and other instances.
    pub(super) fn new(limits: Limits) -> Self {
        let window = |rate: Option<Rate>| Window::new(rate.map_or(WINDOW, |rate| rate.per));
        Self {
            share: Share::of(&limits, Membership::ALONE),
            acknowledged: true,
            messages: window(limits.message_rate),
            connects: window(limits.connect_rate),
            rate: None,
            connections: None,
            worked: 0,
            refuses_connections: false,
            recipients: RecipientLimit::default(),
            limits,
        }
    }

    /// Uses none of the divided limits before the next [`Budget::apply_share`].
    pub(super) fn leave(&mut self) {
        self.share = Share::none(&self.limits);
        self.acknowledged = false;
    }

    /// Keeps to the share among `membership.instances`, or among `published`, which the others can
    /// read. A share grows only by what no instance uses, or may have used within the
    /// window.
    pub(super) fn apply_share(&mut self, now: Instant, membership: Membership, published: u32) {
        let among = Membership {
            instances: membership.instances.max(published),
            ..membership
        };
        let share = Share::of(&self.limits, among);
        self.acknowledged = membership.acknowledged;
        if !membership.acknowledged {
            self.share = self.share.smaller(share);
            return;
        }
        let more = share.more_than(self.share);
        let starts = self.share == Share::none(&self.limits) && membership.instances > 1;
        let used_by_others = match starts {
            true => Some(Duration::ZERO),
            false => membership.others_ended,
        };
        if let Some(ago) = used_by_others {
            let at = now.checked_sub(ago).unwrap_or(now);
            self.messages.assume(at, more.messages.unwrap_or(0));
            self.connects.assume(at, more.connects.unwrap_or(0));
        }
        self.share = share;
    }

    /// Whether no more is used than the share: the others may rely on it.
    pub(super) fn is_within_share(&mut self, now: Instant, open: u32) -> bool {
        let shared = self.limits.connections.is_shared();
        let within = |window: &mut Window, share: Option<u32>| {
            share.is_none_or(|share| window.used(now) <= share)
        };
        (!shared || open <= self.share.connections)
            && within(&mut self.messages, self.share.messages)
            && within(&mut self.connects, self.share.connects)
    }

    /// The wait of this instance for other instances. `connected`: a connection is open.
    pub(super) fn share_wait(&mut self, now: Instant, connected: bool) -> Option<ShareWait> {
        let none = Share::none(&self.limits);
        let is_divided = none != Share::of(&self.limits, Membership::ALONE);
        if !self.acknowledged && is_divided && self.share == none {
            return Some(ShareWait::Acknowledgement);
        }
        let wait = |window: &mut Window, share: Option<u32>, limit| {
            let until = window.assumed_until(share?, now)?;
            Some(ShareWait::Window { limit, until })
        };
        let of_messages = wait(&mut self.messages, self.share.messages, "message_rate");
        let connects = self.share.connects.filter(|_| !connected);
        of_messages.or_else(|| wait(&mut self.connects, connects, "connect_rate"))
    }

    /// Most connections now.
    pub(super) fn connections(&self, now: Instant) -> u32 {
        let learned = self.connections.as_ref();
        let learned = learned.map_or(u32::MAX, |learned| learned.most(now));
        self.share.connections.min(learned)
    }

    /// How many messages the share allows to begin now, whatever rate was
    /// learned; `None`: any number.
    pub(super) fn room_for_probe(&mut self, now: Instant) -> Option<u32> {
        if self.connections(now) == 0 {
            return Some(0);
        }
        let used = self.messages.used(now);
        Some(self.share.messages?.saturating_sub(used))
    }

    /// How many messages may be begun now; `None`: any number.
    pub(super) fn room(&mut self, now: Instant) -> Option<u32> {
        if self.connections(now) == 0 {
            return Some(0);
        }
        let used = self.messages.used(now);
        let most = [self.share.messages, self.learned_rate(now, used)];
        let most = most.into_iter().flatten().min()?;
        Some(most.saturating_sub(used))
    }

    /// The learned level, and one more if that may be tried: only with everything else used.
    fn learned_rate(&self, now: Instant, used: u32) -> Option<u32> {
        let learned = self.rate.as_ref()?;
        let tries = used == learned.level() && learned.may_try(now);
        Some(learned.level().saturating_add(u32::from(tries)))
    }

    /// The relay accepts nothing now, not even slowly.
    pub(super) fn is_exhausted(&mut self, now: Instant) -> bool {
        let nothing = |learned: &AdaptiveLimit| learned.level() == 0;
        self.rate.as_ref().is_some_and(nothing) && self.room(now) == Some(0)
    }

    /// It accepted a message within the last window.
    pub(super) fn took_some_lately(&self, now: Instant) -> bool {
        self.messages.accepted(now) > 0
    }

    /// The time until a message may be begun.
    pub(super) fn wait(&mut self, now: Instant) -> Duration {
        if self.connections(now) == 0 {
            return NO_CONNECTION;
        }
        let share = self.share.messages;
        let of_share = share.map_or(Duration::ZERO, |most| self.messages.wait(most, now));
        let Some(learned) = &self.rate else {
            return of_share;
        };
        let level = learned.level();
        let of_learned = match level {
            0 => Duration::MAX,
            level => self.messages.wait(level, now),
        };
        let of_try = match learned.is_trying() {
            true => TRY_UNDER_WAY,
            false => learned.next_try().saturating_duration_since(now),
        };
        let of_try = of_try.max(self.messages.wait(level.saturating_add(1), now));
        of_share.max(of_learned.min(of_try))
    }

    /// Begins a message while `others` are under way.
    ///
    /// # Errors
    /// The wait until there is room.
    pub(super) fn begin(&mut self, now: Instant, others: u32) -> Result<Ticket, Duration> {
        if self.room(now) == Some(0) {
            return Err(self.wait(now));
        }
        let used = self.messages.used(now);
        let beyond = |learned: &mut Option<AdaptiveLimit>, used: u32| match learned {
            Some(learned) if used >= learned.level() => {
                learned.begin_try();
                true
            }
            _ => false,
        };
        self.messages.begin();
        let tries_connection = beyond(&mut self.connections, others);
        if tries_connection {
            self.worked = 0;
        }
        Ok(Ticket {
            begun: now,
            tries_rate: beyond(&mut self.rate, used),
            tries_connection,
        })
    }

    /// Begins the one message that probes a throttled relay. It tries no more than the learned
    /// level.
    ///
    /// # Errors
    /// The wait until the share has room.
    pub(super) fn begin_probe(&mut self, now: Instant) -> Result<Ticket, Duration> {
        if self.room_for_probe(now) == Some(0) {
            return Err(self.wait(now));
        }
        self.messages.begin();
        Ok(Ticket {
            begun: now,
            tries_rate: false,
            tries_connection: false,
        })
    }

    /// A message ended, or was not begun.
    pub(super) fn end(&mut self, now: Instant, ticket: Ticket, ended: &TransactionUsage<'_>) {
        let accepted = ended.accepted;
        self.messages.end(now, ended.sent, accepted);
        if let Some(recipients) = ended.ended_behind {
            let begun = ticket.begun;
            self.recipients
                .connection_ended_behind(now, begun, recipients);
        }
        match &ended.refusal {
            None => {}
            Some(refusal) if refusal.limit == Limit::Rate => {
                return self.rate_refused(now, ticket, refusal.reply);
            }
            Some(refusal) if refusal.limit == Limit::Connections => {
                return self.connection_refused(now, ticket, refusal);
            }
            Some(refusal) => {
                let (begun, recipients) = (ticket.begun, refusal.recipients);
                self.recipients.refused_behind(now, begun, recipients);
            }
        }
        settle(&mut self.rate, now, ticket.tries_rate, accepted);
        self.settle_connections(now, ticket, accepted);
        if accepted {
            self.rate_is_not_nothing(now);
        }
    }

    /// A relay that accepted nothing in a window accepted a message now.
    fn rate_is_not_nothing(&mut self, now: Instant) {
        let window = self.messages.length();
        if let Some(nothing) = self.rate.as_ref().filter(|rate| rate.level() == 0) {
            self.rate = Some(AdaptiveLimit::new(1, window, now, nothing.reply()));
        }
    }

    /// One more works only if this number worked at the same time: the message may have
    /// used an earlier connection.
    fn settle_connections(&mut self, now: Instant, ticket: Ticket, accepted: bool) {
        let level = self.connections.as_ref().map_or(0, AdaptiveLimit::level);
        let seen = !self.refuses_connections || self.worked > level;
        let tried = ticket.tries_connection;
        settle(&mut self.connections, now, tried, accepted && seen);
    }

    fn rate_refused(&mut self, now: Instant, ticket: Ticket, reply: &str) {
        let accepted = self.messages.accepted(now);
        self.settle_connections(now, ticket, false);
        match &mut self.rate {
            Some(learned) if ticket.tries_rate => learned.try_refused(now, reply),
            Some(learned) => learned.lower(now, ticket.begun, accepted, reply),
            None => {
                self.rate = Some(AdaptiveLimit::new(
                    accepted,
                    self.messages.length(),
                    now,
                    reply,
                ));
            }
        }
    }

    fn connection_refused(&mut self, now: Instant, ticket: Ticket, refusal: &LimitRefusal<'_>) {
        settle(&mut self.rate, now, ticket.tries_rate, false);
        let (working, reply) = (refusal.others.max(1), refusal.reply);
        self.refuses_connections = refusal.before_mail;
        match &mut self.connections {
            Some(learned) if ticket.tries_connection => learned.try_refused(now, reply),
            // A refusal of a new connection counts those that worked by then; among
            // transactions each refusal leaves one fewer.
            Some(learned) if refusal.before_mail => {
                learned.lower(now, ticket.begun, working, reply);
            }
            Some(learned) => learned.lower(now, now, working, reply),
            None => {
                self.connections = Some(AdaptiveLimit::new(
                    working,
                    self.messages.length(),
                    now,
                    reply,
                ));
            }
        }
    }

    /// The number of connections that are open and authenticated, the last of them begun at `begun`. Connections
    /// that were being made when another one was refused show the level that the relay accepts.
    pub(super) fn connections_work(&mut self, begun: Instant, working: u32) {
        self.worked = self.worked.max(working);
        let learned = self
            .connections
            .as_mut()
            .filter(|_| self.refuses_connections);
        if let Some(learned) = learned {
            learned.seen_working(begun, working);
        }
    }

    /// Forgets levels that were learned long ago, or are no less than the share.
    pub(super) fn tick(&mut self, now: Instant) {
        let (connections, messages) = (self.share.connections, self.share.messages);
        let stale = |learned: &mut AdaptiveLimit, share: u32| {
            learned.is_forgotten(now) || (share > 0 && learned.level() >= share)
        };
        self.connections
            .take_if(|learned| stale(learned, connections));
        self.rate
            .take_if(|learned| stale(learned, messages.unwrap_or(u32::MAX)));
    }

    /// Begins a connection.
    ///
    /// # Errors
    /// The wait until there is room.
    pub(super) fn begin_connect(&mut self, now: Instant) -> Result<(), Duration> {
        let wait = self
            .share
            .connects
            .map_or(Duration::ZERO, |most| self.connects.wait(most, now));
        if !wait.is_zero() {
            return Err(wait);
        }
        self.connects.begin();
        Ok(())
    }

    /// A connection was made, or failed.
    pub(super) fn end_connect(&mut self, now: Instant) {
        let counts = self.share.connects.is_some();
        self.connects.end(now, u32::from(counts), counts);
    }

    /// Most recipients of one transaction.
    pub(super) fn recipients(&self, now: Instant) -> Option<u32> {
        let learned = self.recipients.most(now);
        let most = [self.limits.recipients, learned].into_iter().flatten();
        most.min().map(|most| most.max(1))
    }

    /// Most messages in a window, as text for people.
    pub(super) fn shown_rate(&self) -> Option<String> {
        let learned = self.rate.as_ref().map(AdaptiveLimit::level);
        let most = [self.share.messages, learned].into_iter().flatten().min()?;
        let per = self.messages.length();
        Some(Rate { count: most, per }.to_string())
    }

    /// The refusal that lowered it.
    pub(super) fn throttle_reason(&self) -> Option<&str> {
        let learned = self.rate.as_ref().or(self.connections.as_ref());
        learned.map(AdaptiveLimit::reply)
    }
}

/// Records a message that was not refused at the level that it tried.
fn settle(learned: &mut Option<AdaptiveLimit>, now: Instant, tried: bool, accepted: bool) {
    match learned {
        Some(learned) if tried && accepted => learned.try_accepted(now),
        Some(learned) if tried => learned.abandon_try(),
        _ => {}
    }
}
