//! The limits of one relay for one instance: its share of the configured limits, and limits that
//! it learned from refusals.
//!
//! The input are messages and connections that begin and end, the rank among the
//! instances, and replies that mean "slower". The result is whether one more may begin, or
//! how long to wait. Configured limits are divided among the instances; other limits
//! of a relay each instance learns for itself. The arithmetic is pure, in `budget`; this
//! file has the permits that tasks wait for.

mod adaptive_limit;
mod budget;
mod recipient_limit;
mod resizable_semaphore;
mod share;
#[cfg(test)]
mod simulation_tests;
mod slow_start;
mod window;

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use sendport_core::clock::Ticks;
use sendport_core::domain::{Limit, Membership};
use tokio::sync::{Notify, futures::Notified};

use crate::settings::limits::{Connections, Limits};
use budget::{Budget, LimitRefusal, Ticket, TransactionUsage};
use resizable_semaphore::{ResizableSemaphore, SemaphorePermit};
use slow_start::SlowStart;

pub use share::ShareWait;

/// Longest wait for another connection that is being made.
const ONE_AFTER_THE_OTHER: Duration = Duration::from_secs(1);

/// The limits of one relay. Shared by its connections and the registry of relays.
#[derive(Debug)]
pub struct Limiter {
    ticks: Ticks,
    budget: Mutex<Budget>,
    /// Messages under way.
    messages: Arc<ResizableSemaphore>,
    /// Connections, idle ones and those that send QUIT included.
    connections: Arc<ResizableSemaphore>,
    opening: Mutex<SlowStart>,
    /// A connection was made, was not made, or closed.
    opened: Notify,
}

/// A permit for one message under way. Dropped, the message was not begun.
#[derive(Debug)]
pub struct ConcurrencyPermit(SemaphorePermit);

/// A permit to submit one message, counted by the limits. Dropped without [`SubmissionPermit::end`], nothing was
/// sent.
#[derive(Debug)]
pub struct SubmissionPermit {
    limiter: Arc<Limiter>,
    ticket: Option<Ticket>,
    /// `None`: it no longer counts among those under way.
    place: Option<SemaphorePermit>,
}

/// A permit for one connection, held until the connection is closed.
#[derive(Debug)]
pub struct Connection {
    limiter: Arc<Limiter>,
    /// When it began to connect; `None` once it is connected.
    connecting: Option<Instant>,
    established: bool,
    /// The server may count it.
    open: bool,
    _permit: SemaphorePermit,
}

/// The end of a message, for the limits.
#[derive(Debug, Clone, Copy, Default)]
pub struct Usage<'r> {
    /// Transactions that reached MAIL at a server.
    pub transactions: u32,
    /// The relay accepted responsibility.
    pub accepted: bool,
    /// The limit and the text of its reply, if that means "slower".
    pub refusal: Option<(Limit, &'r str)>,
    /// Recipients that were accepted in the transaction that had too many.
    pub recipients: u32,
    /// Recipients that were accepted when the connection ended among them.
    pub ended_behind: Option<u32>,
}

/// The state of the limits, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LimitSnapshot {
    /// Most connections now; `None` where the relay needs none.
    pub connections: u32,
    /// Most messages in a window, `15/min`.
    pub message_rate: Option<String>,
    /// Most recipients of one transaction; `None`: any number.
    pub recipients: Option<u32>,
    /// The refusal that made either of the first two lower than the share of what is configured.
    pub throttle_reason: Option<String>,
    /// The wait for other instances.
    pub share_wait: Option<ShareWait>,
}

impl Limiter {
    /// Without use, learned limits, and other instances.
    pub fn new(limits: Limits) -> Self {
        let (Connections::OfAll(most) | Connections::OfEach(most)) = limits.connections;
        let most = most.max(1);
        Self {
            ticks: Ticks::default(),
            budget: Mutex::new(Budget::new(limits)),
            messages: ResizableSemaphore::new(most),
            connections: ResizableSemaphore::new(most),
            opening: Mutex::default(),
            opened: Notify::new(),
        }
    }

    /// Takes the time from `ticks`.
    #[must_use]
    pub fn timed_by(mut self, ticks: Ticks) -> Self {
        self.ticks = ticks;
        self
    }

    fn now(&self) -> Instant {
        self.ticks.now()
    }

    /// Uses none of the divided limits before the next [`Limiter::apply_share`].
    pub fn leave(&self) {
        self.budget.lock().leave();
        self.resize(self.now());
    }

    /// Keeps to the share of the configured limits that follows from `membership`, after this
    /// instance published a share among `published` instances. True once it uses no more than that.
    pub fn apply_share(&self, membership: Membership, published: u32) -> bool {
        let now = self.now();
        self.budget.lock().apply_share(now, membership, published);
        self.resize(now);
        self.budget
            .lock()
            .is_within_share(now, self.connections.used())
    }

    /// To be called regularly: learned limits are raised, and forgotten, in time.
    pub fn tick(&self) {
        let now = self.now();
        self.budget.lock().tick(now);
        self.resize(now);
    }

    fn resize(&self, now: Instant) {
        let most = self.budget.lock().connections(now);
        self.messages.resize(most);
        self.connections.resize(most);
        self.opened.notify_waiters();
    }

    /// Waits for a permit; `None` never comes in practice.
    pub async fn acquire(&self) -> Option<ConcurrencyPermit> {
        self.messages.acquire().await.map(ConcurrencyPermit)
    }

    /// A permit, if one is free.
    pub fn try_acquire(&self) -> Option<ConcurrencyPermit> {
        self.messages.try_acquire().map(ConcurrencyPermit)
    }

    /// Begins a message. A `probe` of a throttled relay keeps to the configured rate, and not to
    /// the learned one, which may be none.
    ///
    /// # Errors
    /// The wait until there is room.
    pub fn begin(
        self: &Arc<Self>,
        permit: ConcurrencyPermit,
        probe: bool,
    ) -> Result<SubmissionPermit, Duration> {
        let others = self.messages.used().saturating_sub(1);
        let now = self.now();
        let ticket = match probe {
            true => self.budget.lock().begin_probe(now)?,
            false => self.budget.lock().begin(now, others)?,
        };
        Ok(SubmissionPermit {
            limiter: self.clone(),
            ticket: Some(ticket),
            place: Some(permit.0),
        })
    }

    /// How many messages may be begun now; `None`: any number.
    pub fn room(&self) -> Option<u32> {
        self.budget.lock().room(self.now())
    }

    /// How many probes of a throttled relay may be begun now; `None`: any number.
    pub fn room_for_probe(&self) -> Option<u32> {
        self.budget.lock().room_for_probe(self.now())
    }

    /// The time until a message may be begun.
    pub fn wait(&self) -> Duration {
        self.budget.lock().wait(self.now())
    }

    /// The relay accepts nothing now, not even slowly.
    pub fn is_exhausted(&self) -> bool {
        self.budget.lock().is_exhausted(self.now())
    }

    /// Other connections, or other messages, work now: their number may be the reason of a
    /// refusal. `before_mail`: the caller has no connection of its own.
    pub fn others_work(&self, before_mail: bool) -> bool {
        (before_mail && self.established() > 0) || self.messages.used() > 1
    }

    /// It accepted a message within the last window.
    pub fn took_some_lately(&self) -> bool {
        self.budget.lock().took_some_lately(self.now())
    }

    /// Connections that are open and authenticated.
    pub fn established(&self) -> u32 {
        self.opening.lock().established()
    }

    /// All permits are in use.
    pub fn is_occupied(&self) -> bool {
        self.messages.are_all_in_use()
    }

    /// Whether a message is under way.
    pub fn is_in_use(&self) -> bool {
        self.messages.used() > 0
    }

    /// One permit at most is in use, that of the caller.
    pub fn is_idle(&self) -> bool {
        self.messages.used() <= 1
    }

    /// Waits for a permit for a connection.
    pub async fn connection(self: &Arc<Self>) -> Option<Connection> {
        let permit = self.connections.acquire().await?;
        Some(Connection {
            limiter: self.clone(),
            connecting: None,
            established: false,
            open: false,
            _permit: permit,
        })
    }

    /// Ends when another connection was made, or closed: [`Connection::connect`] may be asked
    /// again.
    pub fn opened(&self) -> Notified<'_> {
        self.opened.notified()
    }

    /// The number of open connections above the limit: idle ones have to be closed.
    pub fn surplus_connections(&self) -> usize {
        self.connections.surplus() as usize
    }

    /// Most recipients of one mail transaction: configured, or fewer where the relay replied so
    /// (452 4.5.3, RFC 5321 section 4.5.3.1.10) or ended the connection behind them. At least 1.
    pub fn recipients_limit(&self) -> Option<usize> {
        let limit = self.budget.lock().recipients(self.now())?;
        Some(usize::try_from(limit).unwrap_or(usize::MAX))
    }

    /// The state of the limits, for people.
    pub fn shown(&self) -> LimitSnapshot {
        let (now, connected) = (self.now(), self.established() > 0);
        let mut budget = self.budget.lock();
        LimitSnapshot {
            connections: budget.connections(now),
            message_rate: budget.shown_rate(),
            recipients: budget.recipients(now),
            throttle_reason: budget.throttle_reason().map(str::to_owned),
            share_wait: budget.share_wait(now, connected),
        }
    }

    fn end(&self, ticket: Ticket, submitted: Usage<'_>) {
        let before_mail = submitted.transactions == 0;
        let others = match before_mail {
            true => self.established(),
            false => self.messages.used().saturating_sub(1),
        };
        let refusal = |(limit, reply)| LimitRefusal {
            limit,
            before_mail,
            others,
            recipients: submitted.recipients,
            reply,
        };
        let ended = TransactionUsage {
            sent: submitted.transactions,
            accepted: submitted.accepted,
            refusal: submitted.refusal.map(refusal),
            ended_behind: submitted.ended_behind,
        };
        let now = self.now();
        self.budget.lock().end(now, ticket, &ended);
        self.opening.lock().judged();
        self.resize(now);
    }
}

impl SubmissionPermit {
    /// Another message may be under way in place of this one, which goes on.
    pub fn free_place(&mut self) {
        self.place = None;
    }

    /// The message was answered, or was not sent.
    pub fn end(mut self, submitted: Usage<'_>) {
        if let Some(ticket) = self.ticket.take() {
            self.limiter.end(ticket, submitted);
        }
    }
}

impl Drop for SubmissionPermit {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket.take() {
            self.limiter.end(ticket, Usage::default());
        }
    }
}

impl Connection {
    /// Begins to connect; to be followed by [`Connection::connected`]. A repeated call continues the
    /// connect.
    ///
    /// # Errors
    /// The wait, if the relay's `connect_rate` is used up, or another connection is
    /// being made and it is unknown whether the relay accepts two more.
    pub fn connect(&mut self) -> Result<(), Duration> {
        if self.connecting.is_some() {
            return Ok(());
        }
        self.gone();
        let now = self.limiter.now();
        let mut budget = self.limiter.budget.lock();
        let mut opening = self.limiter.opening.lock();
        if !opening.may_open(budget.connections(now)) {
            return Err(ONE_AFTER_THE_OTHER);
        }
        budget.begin_connect(now)?;
        opening.begin();
        self.connecting = Some(now);
        self.open = true;
        Ok(())
    }

    /// A connection was made and authenticated.
    pub fn connected(&mut self) {
        let Some(begun) = self.end_connect() else {
            return;
        };
        self.established = true;
        let working = self.limiter.opening.lock().made();
        self.limiter.budget.lock().connections_work(begun, working);
        self.limiter.opened.notify_waiters();
    }

    /// The connection is no longer used, or was not made. The server may still count it.
    pub fn closed(&mut self) {
        if self.end_connect().is_some() {
            self.limiter.opening.lock().failed();
        } else if std::mem::take(&mut self.established) {
            self.limiter.opening.lock().left();
        } else {
            // Only changes wake waiting tasks, or they would wake each other.
            return;
        }
        self.limiter.opened.notify_waiters();
    }

    /// The server no longer counts the connection: another one may be opened.
    fn gone(&mut self) {
        self.closed();
        if std::mem::take(&mut self.open) {
            self.limiter.opening.lock().gone();
            self.limiter.opened.notify_waiters();
        }
    }

    fn end_connect(&mut self) -> Option<Instant> {
        let begun = self.connecting.take()?;
        self.limiter.budget.lock().end_connect(self.limiter.now());
        Some(begun)
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.gone();
    }
}
