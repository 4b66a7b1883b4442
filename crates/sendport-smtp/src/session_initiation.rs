//! Session initiation (RFC 5321 section 3.1) by the rules of one relay: its connection rate, and
//! its care for the account.

use std::time::Duration;

use sendport_core::domain::{Command, Fault, LocalCause};
use tokio::time::Instant;

use super::auth::Credentials;
use super::session::Session;
use super::smtp_relay::SmtpRelay;
use super::tls::not_after;
use crate::relay::SessionError;
use crate::relay::limits::Connection;
use crate::relay::observer::{CertificateRole, RelayActivity};

impl SmtpRelay {
    /// A new session, authenticated unless `until` is an earlier step.
    pub(super) async fn open(
        &self,
        connection: &mut Connection,
        attempt_end: Instant,
        until: Command,
    ) -> Result<Session, SessionError> {
        self.wait_for_connect_rate(connection, attempt_end).await?;
        let lockstep = self.desync_guard.requires_lockstep();
        let opened = match &self.settings.credentials {
            Some(credentials) if until >= Command::Auth => {
                self.open_authenticated(credentials, attempt_end).await
            }
            _ => Session::open(&self.settings, attempt_end, until).await,
        };
        let session = opened.map_err(|error| {
            let error = self.note_desync_of_session(error, lockstep);
            self.pool.note_failed(&error);
            error
        })?;
        tracing::debug!(
            remote = session.facts.remote_address,
            tls = session.facts.tls_version,
            mechanism = session.facts.auth_mechanism,
            "session opened"
        );
        connection.connected();
        Ok(session)
    }

    /// Credentials that are not known to be right are used by one connection at a time.
    async fn open_authenticated(
        &self,
        credentials: &Credentials,
        attempt_end: Instant,
    ) -> Result<Session, SessionError> {
        let waits = &self.settings.config.timeout;
        let early = match self.authentication.is_proven() {
            true => None,
            false => Some(self.authentication.acquire(attempt_end).await?),
        };
        let opened = Session::open(&self.settings, attempt_end, Command::Auth).await;
        let (permit, mut session) = match (early, opened) {
            (Some(permit), Ok(session)) => (permit, session),
            (None, Ok(session)) => (self.authentication.acquire(attempt_end).await?, session),
            (None, Err(error)) => return Err(error),
            (Some(permit), Err(error)) => {
                permit.finish(&Err(error.clone()), false).await;
                return Err(error);
            }
        };
        let begun = Instant::now();
        let result = session.authenticate(credentials, waits).await;
        self.record_authentication(&result, begun);
        permit.finish(&result, session.stream.auth_tried).await;
        result.map(|()| session)
    }

    fn record_authentication(&self, result: &Result<(), SessionError>, begun: Instant) {
        let observer = &self.settings.relay_observer;
        match result {
            Ok(()) => {
                observer.record(RelayActivity::Authentication(begun.elapsed()));
                if let Some(end) = not_after::of_application(&self.settings.config) {
                    let role = CertificateRole::Application;
                    observer.record(RelayActivity::Certificate(role, end));
                }
            }
            Err(error) if error.is_authentication_refusal() => {
                observer.record(RelayActivity::AuthenticationRefusal);
            }
            Err(_) => {}
        }
    }

    /// Waits until `connect_rate` allows another connection.
    async fn wait_for_connect_rate(
        &self,
        connection: &mut Connection,
        attempt_end: Instant,
    ) -> Result<(), SessionError> {
        while let Err(wait) = connection.connect() {
            if Instant::now() >= attempt_end {
                return Err(self.all_connections_busy());
            }
            // The share may grow meanwhile.
            tokio::time::sleep(wait.min(Duration::from_secs(1))).await;
        }
        Ok(())
    }

    /// A session that ended because of an unsolicited reply carried nothing. The first one may be
    /// an accident.
    fn note_desync_of_session(&self, mut error: SessionError, lockstep: bool) -> SessionError {
        if error.fault.is_none() && error.reply.local == Some(LocalCause::Desync) {
            self.desync_guard.begin(&error.reply.text);
            self.desync_guard.count(lockstep, None);
            error.fault = Some(Fault::Relay);
        }
        error
    }
}
