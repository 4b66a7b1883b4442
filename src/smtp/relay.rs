//! The relay that speaks SMTP: sessions out of the pool, one transaction on each call.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::Instant;

use super::auth::{Credentials, secret_files};
use super::authentication_guard::{AuthGuard, fingerprint, is_refusal};
use super::chunking::Chunking;
use super::desync::DesyncGuard;
use super::ehlo_name;
use super::observer::{ObserverHandle, SessionObserver};
use super::pipelining::Pipelining;
use super::pool::Pool;
use super::preflight;
use super::session::{Session, Settings};
use super::stream::came_unasked;
use super::tls::{ReloadableTls, TlsSettingsError, not_after};
use super::transaction::{self, Job, TransactionResult};
use crate::clock::Clock;
use crate::config::password::resolve_password;
use crate::config::relay::SmtpRelay as Config;
use crate::domain::{
    AuthKey, Command, CommandReply, Envelope, Fault, Mailbox, Reply, SessionFacts, SubmissionEnd,
    SubmissionReport, Timestamp,
};
use crate::file_watch::WatchedFiles;
use crate::relay::authentication::AuthLedger;
use crate::relay::limits::{Connection, Limiter};
use crate::relay::observer::{CertificateRole, NoObserver, RelayActivity, RelayObserver};
use crate::relay::{FinalDotGate, NotReady, Relay, TokenSource};
use crate::secret::Secret;
use crate::smime::SecuredMessage;

/// A relay's section of the configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// A key is missing or has an unusable value.
    #[error("relay.{relay}.{what}")]
    Key {
        /// Name of the relay.
        relay: String,
        /// The key and a sentence.
        what: String,
    },
    /// About TLS.
    #[error("relay.{relay}.{cause}")]
    Tls {
        /// Name of the relay.
        relay: String,
        /// What is wrong.
        cause: TlsSettingsError,
    },
}

/// What a relay needs that does not stand in its section.
pub struct RelayDependencies {
    /// What [`crate::config::password::resolve_password`] found.
    pub password: Option<Secret>,
    /// Stands where the section names none; without both it is the address literal of the
    /// local end of each connection.
    pub default_ehlo_name: Option<String>,
    /// What all instances know together about refused secrets.
    pub authentications: Arc<dyn AuthLedger>,
    /// Wall-clock time, for the report.
    pub clock: Arc<dyn Clock>,
}

/// An SMTP server that messages are submitted to.
pub struct SmtpRelay {
    name: String,
    settings: Settings,
    limiter: Arc<Limiter>,
    pool: Arc<Pool>,
    authentication: AuthGuard,
    secret_files: WatchedFiles,
    pipelining: Pipelining,
    chunking: Chunking,
    desync_guard: DesyncGuard,
    clock: Arc<dyn Clock>,
}

/// A place for a connection, the session that was kept there, and when the attempt ends.
type Place = (Connection, Option<Session>, Instant);

impl SmtpRelay {
    /// Reads the authorities and checks the settings; connects to nothing.
    ///
    /// # Errors
    /// [`SettingsError`] names the key, what was expected and what was found.
    pub fn new(
        name: impl Into<String>,
        config: &Config,
        around: RelayDependencies,
    ) -> Result<Self, SettingsError> {
        let name = name.into();
        let key = |what| SettingsError::Key {
            relay: name.clone(),
            what,
        };
        let credentials =
            Credentials::new(config, around.password, Arc::clone(&around.clock)).map_err(key)?;
        let ehlo_name = config.ehlo_name.clone().or(around.default_ehlo_name);
        let ehlo_name = ehlo_name
            .map(|name| ehlo_name::checked(&name))
            .transpose()
            .map_err(key)?;
        let tls = ReloadableTls::new(&name, config).map_err(|cause| SettingsError::Tls {
            relay: name.clone(),
            cause,
        })?;
        let authentication_key = AuthKey {
            credential_fingerprint: credentials
                .as_ref()
                .map_or_else(String::new, |credentials| {
                    fingerprint_of(&name, credentials)
                }),
            relay: name.clone(),
        };
        let limiter = Arc::new(Limiter::new(config.limits()));
        Ok(Self {
            pool: Pool::new(config, limiter.clone()),
            limiter,
            settings: Settings {
                config: config.clone(),
                ehlo_name,
                tls,
                credentials,
                relay_observer: Arc::new(NoObserver),
                observer: ObserverHandle::default(),
            },
            secret_files: secret_files(&config.auth),
            authentication: AuthGuard::new(
                authentication_key,
                around.authentications,
                around.clock.clone(),
            ),
            clock: around.clock,
            pipelining: Pipelining::default(),
            chunking: Chunking::default(),
            desync_guard: DesyncGuard::default(),
            name,
        })
    }

    /// With the tokens that `mechanism = "xoauth2"`, `"oauthbearer"` or `"auto"` sign in with.
    #[must_use]
    pub fn with_token_source(mut self, tokens: Arc<dyn TokenSource>) -> Self {
        if let Some(credentials) = &mut self.settings.credentials {
            credentials.set_token_source(tokens);
        }
        self
    }

    /// From now on `watch` is told what happens, and when the certificates of the configuration
    /// end.
    #[must_use]
    pub fn with_observer(mut self, observer: Arc<dyn RelayObserver>) -> Self {
        self.settings
            .tls
            .current()
            .report_expiry_of_configured(&*observer);
        self.settings.relay_observer = observer;
        self
    }

    /// From now on `observer` is told of every step of every session.
    #[must_use]
    pub fn with_session_observer(mut self, observer: Arc<dyn SessionObserver>) -> Self {
        self.settings.observer = ObserverHandle::new(observer);
        self
    }

    /// A new session, signed in unless it ends before.
    pub(super) async fn open(
        &self,
        connection: &mut Connection,
        attempt_end: Instant,
        until: Command,
    ) -> Result<Session, NotReady> {
        self.may_connect(connection, attempt_end).await?;
        let lockstep = self.desync_guard.is_due();
        let opened = match &self.settings.credentials {
            Some(credentials) if until >= Command::Auth => {
                self.open_authenticated(credentials, attempt_end).await
            }
            _ => Session::open(&self.settings, attempt_end, until).await,
        };
        let session = opened.map_err(|answer| {
            let answer = self.note_unasked(answer, lockstep);
            self.pool.note_failed(&answer);
            answer
        })?;
        tracing::debug!(
            relay = self.name,
            remote = session.facts.remote_address,
            tls = session.facts.tls_version,
            mechanism = session.facts.auth_mechanism,
            "session opened"
        );
        connection.connected();
        Ok(session)
    }

    /// Nobody connects to present a secret that is not known to be right, while another does.
    async fn open_authenticated(
        &self,
        credentials: &Credentials,
        attempt_end: Instant,
    ) -> Result<Session, NotReady> {
        let waits = &self.settings.config.timeout;
        let early = match self.authentication.is_proven() {
            true => None,
            false => Some(self.authentication.acquire(attempt_end).await?),
        };
        let opened = Session::open(&self.settings, attempt_end, Command::Auth).await;
        let (permit, mut session) = match (early, opened) {
            (Some(permit), Ok(session)) => (permit, session),
            (None, Ok(session)) => (self.authentication.acquire(attempt_end).await?, session),
            (None, Err(not_ready)) => return Err(not_ready),
            (Some(permit), Err(not_ready)) => {
                permit.note(&Err(not_ready.clone()), false).await;
                return Err(not_ready);
            }
        };
        let begun = Instant::now();
        let result = session.authenticate(credentials, waits).await;
        self.report_authentication(&result, begun);
        permit.note(&result, session.stream.auth_tried).await;
        result.map(|()| session)
    }

    fn report_authentication(&self, result: &Result<(), NotReady>, begun: Instant) {
        let observer = &self.settings.relay_observer;
        match result {
            Ok(()) => {
                observer.record(RelayActivity::Authentication(begun.elapsed()));
                if let Some(end) = not_after::of_application(&self.settings.config) {
                    observer.record(RelayActivity::Certificate(
                        CertificateRole::Application,
                        end,
                    ));
                }
            }
            Err(answer) if is_refusal(answer) => {
                observer.record(RelayActivity::AuthenticationRefusal)
            }
            Err(_) => {}
        }
    }

    /// Waits until `connect_rate` allows another connection.
    async fn may_connect(
        &self,
        connection: &mut Connection,
        attempt_end: Instant,
    ) -> Result<(), NotReady> {
        while let Err(wait) = connection.connect() {
            if Instant::now() >= attempt_end {
                return Err(self.busy());
            }
            // The share may grow meanwhile.
            tokio::time::sleep(wait.min(Duration::from_secs(1))).await;
        }
        Ok(())
    }

    /// Once more, a command at a time or with DATA, where the relay did not do the PIPELINING
    /// or CHUNKING that it offers, or its replies did not fit: nothing was handed over by then.
    async fn carry_out(
        &self,
        job: Job<'_>,
        place: Place,
    ) -> Result<(SessionFacts, TransactionResult), NotReady> {
        let attempt_end = place.2;
        let first = self.try_once(job, place, true).await?;
        if !self.learn(&first.1) {
            return Ok(first);
        }
        let Ok((connection, kept, _)) = self.place().await else {
            return Ok(first);
        };
        let place = (connection, kept, attempt_end);
        let again = self.try_once(job, place, false).await;
        Ok(again.unwrap_or(first))
    }

    /// True where the transaction has to be repeated.
    fn learn(&self, done: &TransactionResult) -> bool {
        let not_done = self.pipelining.learn(&self.name, &done.ahead);
        let denied = self.chunking.learn(&self.name, done.bdat);
        let desync = self.note_desync(done) && done.end == SubmissionEnd::Broken;
        denied || not_done || desync
    }

    fn note_desync(&self, done: &TransactionResult) -> bool {
        if let Some(found) = &done.desync {
            self.desync_guard.begin(&self.name, found);
        }
        done.desync.is_some()
    }

    /// A session that replies too many ended before it carried anything. One may be an accident.
    fn note_unasked(&self, mut answer: NotReady, lockstep: bool) -> NotReady {
        if answer.fault.is_none() && came_unasked(&answer.reply) {
            self.desync_guard.begin(&self.name, &answer.reply.text);
            self.desync_guard.count(lockstep, None);
            answer.fault = Some(Fault::Relay);
        }
        answer
    }

    /// On a kept session where there is one; a kept one that the server has given up
    /// meanwhile is replaced once.
    async fn try_once(
        &self,
        job: Job<'_>,
        place: Place,
        may_chunk: bool,
    ) -> Result<(SessionFacts, TransactionResult), NotReady> {
        let (mut connection, kept, attempt_end) = place;
        if let Some(mut session) = kept {
            session.stream.set_attempt_end(Some(attempt_end));
            let done = self.transact(&mut session, job, may_chunk).await;
            if !done.stale {
                return Ok((self.put_away(session, connection, done.reusable), done));
            }
            self.note_desync(&done);
            tracing::debug!(relay = self.name, "stale connection replaced");
            if done.reusable {
                session.quit(&self.settings.config.timeout).await;
            }
        }
        let mut session = self
            .open(&mut connection, attempt_end, Command::EndOfData)
            .await?;
        let done = self.transact(&mut session, job, may_chunk).await;
        Ok((self.put_away(session, connection, done.reusable), done))
    }

    async fn transact(
        &self,
        session: &mut Session,
        job: Job<'_>,
        may_chunk: bool,
    ) -> TransactionResult {
        session.extensions.pipelining &= self.pipelining.is_trusted();
        session.extensions.chunking &= may_chunk && self.chunking.is_trusted();
        session.lockstep = self.desync_guard.is_due();
        let (begun, waits) = (Instant::now(), &self.settings.config.timeout);
        let envelope = session.facts.limits.offered(job.envelope);
        let envelope = &*envelope;
        let job = Job { envelope, ..job };
        let done = transaction::submit(session, waits, job).await;
        let message = job.message.message_id();
        self.desync_guard.note(&done, session.lockstep, message);
        if !done.stale {
            let observer = &self.settings.relay_observer;
            observer.record(RelayActivity::Transaction(begun.elapsed()));
            if let Some(took) = done.final_dot {
                observer.record(RelayActivity::FinalDot(took));
            }
        }
        done
    }

    pub(super) async fn perform(&self, job: Job<'_>) -> SubmissionReport {
        if let Some(done) = without_a_server(job.envelope, job.message) {
            return self.report(self.clock.now(), Ok((SessionFacts::default(), done)));
        }
        let place = match self.desync_guard.shuts_out() {
            Some(answer) => Err(answer),
            None => self.place().await,
        };
        let started_at = self.clock.now();
        let carried_out = match place {
            Ok(place) => self.carry_out(job, place).await,
            Err(busy) => Err(busy),
        };
        let report = self.report(started_at, carried_out);
        self.log(job.envelope, &report);
        report
    }

    /// A session without a transaction. One that was not greeted is closed without a word.
    pub(super) async fn open_and_quit(&self, until: Command) -> Result<SessionFacts, NotReady> {
        let (mut connection, _, attempt_end) = self.place().await?;
        let session = self.open(&mut connection, attempt_end, until).await?;
        let facts = session.facts.clone();
        if until > Command::Connect {
            session.quit(&self.settings.config.timeout).await;
        }
        Ok(facts)
    }

    fn put_away(&self, session: Session, connection: Connection, reusable: bool) -> SessionFacts {
        let facts = session.facts.clone();
        if reusable {
            self.pool.give_back(session, connection);
        }
        facts
    }

    fn report(
        &self,
        started_at: Timestamp,
        carried_out: Result<(SessionFacts, TransactionResult), NotReady>,
    ) -> SubmissionReport {
        let (facts, replies, end) = match carried_out {
            Ok((facts, done)) => (facts, done.replies, done.end),
            Err(NotReady { reply, fault }) => {
                let end = SubmissionEnd::NotBegun { reply, fault };
                (SessionFacts::default(), Vec::new(), end)
            }
        };
        SubmissionReport {
            started_at,
            ended_at: self.clock.now(),
            facts,
            replies,
            end,
        }
    }

    fn busy(&self) -> NotReady {
        let config = &self.settings.config;
        let what = format!(
            "all connections were in use for {:.1?} (settings max_connections, timeout.attempt)",
            config.timeout.attempt
        );
        NotReady {
            reply: Reply::absent(Command::Connect, what),
            fault: None,
        }
    }

    async fn place(&self) -> Result<Place, NotReady> {
        let limit = self.settings.config.timeout.attempt;
        let taken = self.pool.take(limit).await;
        let (connection, kept) = taken.map_err(|answer| answer.unwrap_or_else(|| self.busy()))?;
        Ok((connection, kept, Instant::now() + limit))
    }

    fn log(&self, envelope: &Envelope, report: &SubmissionReport) {
        let sender = envelope.reverse_path.0.as_deref().unwrap_or_default();
        tracing::debug!(
            relay = self.name,
            sender = Mailbox::bare(sender).masked(),
            recipients = envelope.forward_paths.len(),
            replies = report.replies.len(),
            accepted = report.is_accepted(),
            answered = report.end == SubmissionEnd::Answered,
            "submission ended"
        );
    }
}

#[async_trait]
impl Relay for SmtpRelay {
    fn name(&self) -> &str {
        &self.name
    }

    fn limiter(&self) -> &Arc<Limiter> {
        &self.limiter
    }

    async fn submit(
        &self,
        envelope: &Envelope,
        message: &SecuredMessage,
        gate: &dyn FinalDotGate,
    ) -> SubmissionReport {
        let until = Command::EndOfData;
        self.perform(Job {
            envelope,
            message,
            gate,
            until,
        })
        .await
    }

    async fn verify(&self) -> Result<SessionFacts, NotReady> {
        self.open_and_quit(Command::Auth).await
    }

    fn cooldown_remaining(&self) -> Option<Duration> {
        self.authentication.cooldown_remaining()
    }

    fn token_cooldown_remaining(&self) -> Option<Duration> {
        self.settings
            .credentials
            .as_ref()?
            .token_cooldown_remaining()
    }

    fn credentials_changed(&self) -> bool {
        let (tls, config) = (&self.settings.tls, &self.settings.config);
        let reloaded = tls.reload_if_changed(config, &*self.settings.relay_observer);
        let credentials = self.settings.credentials.as_ref();
        let Some(refused) =
            credentials.filter(|_| self.authentication.cooldown_remaining().is_some())
        else {
            return reloaded;
        };
        // A certificate may be what signs in.
        let signs_in_anew = reloaded && refused.password().is_none();
        if !self.secret_files.are_changed() && !signs_in_anew {
            return reloaded;
        }
        let auth = &self.settings.config.auth;
        if auth.password_file.is_some() {
            let Ok(password) = resolve_password(auth) else {
                return false;
            };
            refused.set_password(password);
        }
        self.authentication
            .change(fingerprint_of(&self.name, refused));
        true
    }

    fn shed(&self) {
        self.pool.shed();
    }

    async fn close(&self) {
        self.pool.close().await;
    }
}

/// Without a password no account can be locked: each start of the service is tried anew.
fn fingerprint_of(relay: &str, credentials: &Credentials) -> String {
    match credentials.password() {
        Some(password) => fingerprint(relay, credentials.username(), password.expose()),
        None => uuid::Uuid::new_v4().simple().to_string()[..8].to_owned(),
    }
}

/// What needs no connection to be answered: a message or a sender that cannot be put on the
/// wire, or recipients of which not one can. A trial may have none.
fn without_a_server(envelope: &Envelope, message: &SecuredMessage) -> Option<TransactionResult> {
    if let Some(reply) = preflight::reject_locally(envelope, message) {
        let ordinal = None;
        return Some(TransactionResult::answered(vec![CommandReply {
            ordinal,
            reply,
        }]));
    }
    let refuse = |path: &crate::domain::ForwardPath| {
        preflight::refuse_recipient(&path.address, true).map(|reply| CommandReply {
            ordinal: Some(path.ordinal),
            reply,
        })
    };
    let refused: Option<Vec<_>> = envelope.forward_paths.iter().map(refuse).collect();
    refused
        .filter(|all| !all.is_empty())
        .map(TransactionResult::answered)
}
