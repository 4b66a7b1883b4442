//! The database: the queue, the truth about every recipient, and the only coordinator.
//!
//! [`AlertStore`] is the queue as the worker uses it, [`StoreAdmin`] serves `migrate`, `adopt` and `check`,
//! [`OperatorQueries`] the other commands, [`AttachmentSource`] and [`FileStore`] the composition of messages, [`ReceivedMessages`]
//! keeps those that come whole. [`Coordination`],
//! [`OperatorRequests`], [`AuditStore`], [`DeliveryReports`], [`FeedbackStore`] and [`FailureDigestStore`] hold what instances share beside
//! the queue,
//! [`TemplateStore`] the templates, [`CertificateStore`] the recipients' certificates, [`RetentionStore`] deletes what is
//! old, [`RollupStore`] counts what the monitoring views show. Two implementations,
//! [`sqlite`] and [`sqlserver`], pass one conformance suite. Their SQL is in `.sql` files beside
//! them, each named for the function that runs it; a statement of one or two lines is a constant in the function's file.

pub mod attachments;
pub mod audit;
pub mod certificates;
mod claim;
mod columns;
pub mod coordination;
pub mod delivery_reports;
pub mod digest;
mod error;
mod expiry;
pub mod feedback;
mod lines;
pub mod migration;
pub mod operator_requests;
pub mod purge_requests;
pub mod received;
pub mod retention;
pub mod rollup;
pub mod spool;
pub mod sqlite;
pub mod sqlserver;
pub mod templates;
mod types;
pub mod verification;

use std::time::Duration;

use async_trait::async_trait;
use sendport_core::domain::{
    AlertId, InstanceCondition, InstanceId, InstanceInfo, LeaseToken, Outcome, PublicId,
    RelayState, RequestId, SendPortInfo,
};

use attachments::{AttachmentSource, FileStore};
use audit::AuditStore;
use certificates::CertificateStore;
use coordination::Coordination;
use delivery_reports::DeliveryReports;
use digest::FailureDigestStore;
use feedback::FeedbackStore;
use operator_requests::{OperatorRequests, ResolveRequest};
use purge_requests::PurgeRequests;
use received::{ReceivedMessages, ReceivedSource};
use retention::RetentionStore;
use rollup::RollupStore;
use templates::TemplateStore;

pub use claim::{
    Among, Claim, ClaimResult, MOST_REFUSED, RefusedRow, SweepResult, nothing_refused,
};
pub(crate) use error::ColumnError;
pub use error::{StoreError, StoreErrorKind, other_environment_message};
pub use lines::{ExplanationLine, FailureLine, RelayLine};
pub use types::{
    AdoptMode, AdoptReport, AlertLine, DeliveryLine, Event, EventSeverity, Explanation,
    FixedRoleMember, InDoubtLine, InstanceLine, LARGE_TEXTS, LoadResult, MigrationStep, NewAlert,
    NewAttachment, OverdueLeases, QueueDepth, QueueLine, RecordResult, Renewal, SchemaState,
};

/// The queue as the worker uses it.
///
/// **Clock.** Every comparison with "now" and every time that is stored is by the database's
/// clock (on SQLite the [`Clock`](sendport_core::clock::Clock) it was opened with); what callers pass
/// is durations. **Concurrency.** All methods may be called from many tasks and many
/// instances at once. **Repeating.** Every write may be repeated after an error without
/// doing its work twice; an error says nothing about whether the write took place.
/// **Cancelling.** Dropping a future may leave its work done or undone, never half done.
/// No method keeps a transaction open after it returns.
///
/// # Errors
/// All methods fail with [`StoreError`]; [`StoreError::is_transient`] says whether trying the
/// same again later can help. Implementations retry what the engine asks to retry at once
/// (deadlock victim, busy) a few times by themselves.
#[async_trait]
pub trait AlertStore: Send + Sync {
    /// Writes the instance's row with a lease of `lease` from now, its send ports, and the
    /// explanations that `Delivery` joins; called once before the first claim.
    /// [`StoreErrorKind::Schema`], and nothing is written, where the database belongs to another
    /// environment than the instance.
    async fn register(
        &self,
        instance: &InstanceInfo,
        lease: Duration,
        send_ports: &[SendPortInfo],
        explanations: &[Explanation],
    ) -> Result<(), StoreError>;

    /// Extends the instance's lease to now + `lease`, notes that its send ports are still
    /// there, and replaces its relay states. One small update on a table that applications
    /// never touch. [`Renewal::Lost`] if the row is gone or its lease had run out: what it
    /// held may belong to others, and it has to register anew under another id.
    async fn renew(
        &self,
        instance: InstanceId,
        lease: Duration,
        send_ports: &[String],
        relays: &[RelayState],
    ) -> Result<Renewal, StoreError>;

    /// Ends the instance's row: `StoppedAt` is set, the lease ends now, another instance may delete old rows, and
    /// alerts it still held are released without spending an attempt. What is locked, or what the database refuses to
    /// change, is left for a takeover.
    async fn retire(&self, instance: InstanceId) -> Result<(), StoreError>;

    /// Leases up to `claim.limit` alerts of one send port that are due, urgent before normal
    /// before low with a fixed head start of age (30 minutes a class), oldest first. No alert is ever handed to
    /// two claims. Claimed alerts have `Status = 'sending'`, `DueAt` NULL, the token and the
    /// owner. Costs the same however many rows are finished, or queued for other send ports.
    /// After an error the caller repeats the claim with the same token: a store that had taken
    /// alerts by it hands those out.
    ///
    /// An alert that the database refuses alone is not taken and keeps no other: it is in
    /// [`ClaimResult::refused`], and the caller leaves it out of the next claims ([`Among::AllBut`]).
    async fn claim(&self, claim: &Claim<'_>) -> Result<ClaimResult, StoreError>;

    /// Reads the alerts that a claim took, with their recipients' rows. A row that cannot be
    /// read comes as [`LoadResult::Unreadable`] and harms no other. Answers in any order; an alert
    /// that is gone is missing.
    async fn load(&self, ids: &[AlertId]) -> Result<Vec<LoadResult>, StoreError>;

    /// Records outcomes in few transactions, one result for each in the same order. An alert that
    /// another transaction has locked is left out ([`RecordResult::NotNow`]) and delays no other.
    ///
    /// Facts (attempt, replies, a recipient that was relayed) are recorded even where the
    /// lease is lost ([`RecordResult::FactsOnly`]); status, `DueAt`, and every other recipient
    /// status need the token. `relayed` is never overwritten by anything else. Repeating an
    /// outcome changes nothing. Afterwards the lease is given up.
    ///
    /// A decision may also be `Held`: the alert then waits for an operator. Facts about the very
    /// attempt that put an alert in doubt end the doubt, and what [`AlertStore::take_over`] held
    /// for it goes on.
    async fn record(
        &self,
        instance: InstanceId,
        outcomes: &[Outcome],
    ) -> Result<Vec<RecordResult>, StoreError>;

    /// Gives these leases to `new_owner`, whichever instance has them, where their token is still current: their
    /// outcomes are known but not recorded yet, and no instance may send them again meanwhile. Returns
    /// the rows that the database refuses to change.
    async fn take_over_leases(
        &self,
        new_owner: InstanceId,
        leases: &[(AlertId, LeaseToken)],
    ) -> Result<Vec<RefusedRow>, StoreError>;

    /// Writes to `Instance` what keeps the instance from sending or from recording.
    async fn show_condition(
        &self,
        instance: InstanceId,
        condition: &InstanceCondition,
    ) -> Result<(), StoreError>;

    /// Takes up to `limit` alerts from instances whose lease ran out (never from `instance`
    /// itself): each gets an attempt with outcome `unknown`, and is due at once; or it is held
    /// with a reason where `SendPort.InDoubt` of its send port is `hold`. Call only after one
    /// whole lease length of unbroken connection.
    ///
    /// An alert that the database refuses to change keeps no other, here and in the other sweeps: it is
    /// in [`SweepResult::refused`], and the caller leaves it out of the next ones ([`Among::AllBut`]).
    async fn take_over(
        &self,
        instance: InstanceId,
        limit: u32,
        among: Among<'_>,
    ) -> Result<SweepResult, StoreError>;

    /// When the connection to the database broke last, also where it was replaced before a caller
    /// noticed; `None` if it never did, or where there is no connection to break.
    fn connection_broke_at(&self) -> Option<std::time::Instant> {
        None
    }

    /// Expires up to `limit` alerts that are queued, delayed or held past `ExpiresAt`, or
    /// older than their send port's `MaxAgeSeconds`: waiting recipients become `expired` (rows
    /// are made where there were none), the status follows from all recipients.
    async fn expire(&self, limit: u32, among: Among<'_>) -> Result<SweepResult, StoreError>;

    /// Fails up to `limit` alerts that have been due for `after` and whose send port no
    /// instance has had for as long. Call only after the caller itself ran for `after`.
    async fn fail_unrouted(
        &self,
        after: Duration,
        limit: u32,
        among: Among<'_>,
    ) -> Result<SweepResult, StoreError>;

    /// Writes into `StatusReason` of up to `limit` alerts of each send port that no instance has
    /// had for `unseen` that they wait for it, and fail after `fails_after`: of alerts that are due
    /// and say nothing yet. The send ports, and how many alerts of each; none where others have
    /// them locked.
    async fn note_unrouted(
        &self,
        unseen: Duration,
        fails_after: Duration,
        limit: u32,
    ) -> Result<Vec<(String, u32)>, StoreError>;

    /// Appends to `EventLog`.
    async fn log_event(&self, event: &Event) -> Result<(), StoreError>;

    /// Returns as soon as rows may have been inserted by others, or after `at_most`.
    /// An engine that cannot notice simply waits.
    async fn wait_for_insert(&self, at_most: Duration);
}

/// Schema and environment.
#[async_trait]
pub trait StoreAdmin: Send + Sync {
    /// Which database this is, for people: file or server and database, without secrets.
    fn describe(&self) -> String;

    /// The same, however its file is named: two names of one database are equal.
    fn identity(&self) -> String {
        self.describe()
    }

    /// Creates the database itself where it does not exist. True if it was created.
    async fn create_database(&self) -> Result<bool, StoreError>;

    /// Applies all migrations that are missing, under a lock that other instances respect.
    /// Returns those that were applied.
    async fn migrate(&self) -> Result<Vec<MigrationStep>, StoreError>;

    /// The schema of the database, compared with the one that this program knows.
    async fn schema_state(&self) -> Result<SchemaState, StoreError>;

    /// The environment's name, or `None` where none was stored yet.
    async fn environment(&self) -> Result<Option<String>, StoreError>;

    /// Whether readers see the last committed row instead of waiting for the transaction that changes it
    /// (`READ_COMMITTED_SNAPSHOT`); `None` where an engine knows no other way.
    async fn has_row_versioning(&self) -> Result<Option<bool>, StoreError>;

    /// Stores the environment's name if none is stored; returns the stored name.
    async fn name_environment(&self, name: &str) -> Result<String, StoreError>;

    /// Members of fixed roles of the database that go round the roles of the schema, by role and name;
    /// none where an engine has no roles.
    async fn fixed_role_members(&self) -> Result<Vec<FixedRoleMember>, StoreError>;

    /// Whether the database user has all the permissions that the service needs.
    ///
    /// # Errors
    /// [`StoreErrorKind::Refused`] with the first missing permission and what to do.
    async fn check_permissions(&self) -> Result<(), StoreError>;

    /// Makes the database `environment`'s: leases and instances are dropped, and everything
    /// that is not final expires or is held. Nothing is passed over: where the database refuses to change
    /// an alert, all others are, and the error names it.
    async fn adopt(&self, environment: &str, mode: AdoptMode) -> Result<AdoptReport, StoreError>;
}

/// What an operator asks at the command line.
#[async_trait]
pub trait OperatorQueries: Send + Sync {
    /// Inserts one alert with its attachments as an application would, in one transaction.
    async fn insert(&self, alert: &NewAlert) -> Result<AlertId, StoreError>;

    /// The view `AlertStatus`, newest first, or one alert of it.
    async fn alerts(&self, only: Option<AlertId>, limit: u32)
    -> Result<Vec<AlertLine>, StoreError>;

    /// Lines of the view `AlertStatus` by public id or by `Reference`, newest first.
    async fn alerts_named(
        &self,
        public_id: Option<PublicId>,
        reference: &str,
        limit: u32,
    ) -> Result<Vec<AlertLine>, StoreError>;

    /// The view `FailedDelivery`, newest first.
    async fn failures(&self, limit: u32) -> Result<Vec<FailureLine>, StoreError>;

    /// The view `Relay`, by name.
    async fn relays(&self) -> Result<Vec<RelayLine>, StoreError>;

    /// The view `Delivery`, newest alert first, or one alert's lines of it.
    async fn deliveries(
        &self,
        only: Option<AlertId>,
        limit: u32,
    ) -> Result<Vec<DeliveryLine>, StoreError>;

    /// The view `AlertExplanation` of one alert, in its order; empty where there is no such alert.
    async fn explanation(&self, id: AlertId) -> Result<Vec<ExplanationLine>, StoreError>;

    /// The view `Queue`.
    async fn queue(&self) -> Result<Vec<QueueLine>, StoreError>;

    /// How much waits, for a monitoring system: cheaper than the view `Queue`, and waits for no
    /// transaction of an application. Alerts of such a transaction need not be in it, nor those
    /// that are being claimed or recorded at this moment.
    async fn depths(&self) -> Result<Vec<QueueDepth>, StoreError>;

    /// Alerts that have been leased for `after` or longer, to an instance whose lease ran out as
    /// long ago: no instance works on them, and none took them over.
    async fn overdue(&self, after: Duration) -> Result<OverdueLeases, StoreError>;

    /// The table `Instance`, those that run first.
    async fn instances(&self, limit: u32) -> Result<Vec<InstanceLine>, StoreError>;

    /// The view `InDoubt`, the longest in doubt first.
    async fn in_doubt(&self, limit: u32) -> Result<Vec<InDoubtLine>, StoreError>;

    /// Resolves one alert in doubt as an operator found out, and writes it to `OperatorRequest`, as a request that is done,
    /// and to `EventLog`. `None`, and nothing is done, where the alert is not in the view `InDoubt`.
    async fn resolve(
        &self,
        id: AlertId,
        request: &ResolveRequest,
    ) -> Result<Option<RequestId>, StoreError>;
}

/// All of them: what `app` passes on.
pub trait Store:
    AlertStore
    + StoreAdmin
    + OperatorQueries
    + OperatorRequests
    + Coordination
    + AuditStore
    + AttachmentSource
    + FileStore
    + ReceivedMessages
    + ReceivedSource
    + DeliveryReports
    + FeedbackStore
    + FailureDigestStore
    + TemplateStore
    + CertificateStore
    + RetentionStore
    + PurgeRequests
    + RollupStore
{
}

impl<T> Store for T where
    T: AlertStore
        + StoreAdmin
        + OperatorQueries
        + OperatorRequests
        + Coordination
        + AuditStore
        + AttachmentSource
        + FileStore
        + ReceivedMessages
        + ReceivedSource
        + ReceivedMessages
        + ReceivedSource
        + DeliveryReports
        + FeedbackStore
        + FailureDigestStore
        + TemplateStore
        + CertificateStore
        + RetentionStore
        + PurgeRequests
        + RollupStore
{
}

/// Alerts of a class are taken as if they had been due this much earlier than the next lower
/// class: the fixed head start that keeps `low` from starving.
pub const CLASS_HEAD_START: Duration = Duration::from_secs(30 * 60);

/// `StatusReason` of an alert that `take_over` holds. Facts about the attempt that it is about release it.
pub(crate) const TAKEN_OVER: &str =
    "in doubt: the instance that worked on it ended; it may have been sent";

/// `EventLog.EventType` of [`OperatorQueries::resolve`].
pub(crate) const RESOLVED_EVENT: &str = "in-doubt-resolved";

/// Alerts of a send port that was never published expire at this age.
pub const DEFAULT_MAX_AGE: Duration = Duration::from_secs(2 * 24 * 3600);
