//! The start of a session: greeting and TLS.

use std::net::IpAddr;
use std::sync::Arc;

use tokio::time::timeout;

use super::{Next, Session};
use crate::connection::{Connection, Transport, Wire};
use crate::listener::Intake;
use crate::observer::IntakeActivity;
use crate::reply::Reply;
use crate::settings::IntakeTls;
use crate::tls;

/// Serves a client until its session is over.
pub(crate) async fn serve(intake: Arc<Intake>, transport: Box<dyn Transport>, client: IpAddr) {
    let client = client.to_canonical();
    let mut session = match intake.settings.tls {
        IntakeTls::Implicit => match Session::encrypted(&intake, transport, client).await {
            Some(session) => session,
            None => return,
        },
        _ => {
            let timeout = intake.settings.timeout.reply;
            let connection = Connection::new(Wire::Plain(transport), timeout);
            Session::new(intake, connection, client)
        }
    };
    let greeting = format!("{} ESMTP sendport", session.intake.hostname);
    session.queue(&Reply::new(220, "", greeting));
    loop {
        let Some(before) = session.commands().await else {
            return;
        };
        let Some(after) = before.handshake().await else {
            return;
        };
        session = after;
    }
}

impl Session {
    pub(super) fn offers_starttls(&self) -> bool {
        let offers = matches!(
            self.intake.settings.tls,
            IntakeTls::Starttls | IntakeTls::StarttlsRequired
        );
        offers && !self.is_encrypted()
    }

    /// STARTTLS is required, and was not carried out.
    pub(super) fn needs_starttls(&self) -> bool {
        self.intake.settings.tls == IntakeTls::StarttlsRequired && !self.is_encrypted()
    }

    /// RFC 3207. Octets that follow the command unencrypted would be read as the client's own commands after the
    /// handshake (CVE-2011-0411): they end the session.
    pub(super) fn starttls(&mut self) -> Next {
        let refusal = match () {
            () if self.is_encrypted() => Reply::new(503, "5.5.1", "TLS is already used"),
            () if !self.offers_starttls() => Reply::new(502, "5.5.1", "STARTTLS is not offered"),
            () if !self.connection.unread().is_empty() => {
                self.queue(&Reply::new(
                    501,
                    "5.5.1",
                    "commands follow STARTTLS unencrypted, closing",
                ));
                return Next::Close;
            }
            () => {
                self.queue(&Reply::new(220, "2.0.0", "begin TLS"));
                return Next::Handshake;
            }
        };
        self.answer(&refusal)
    }

    /// The session after STARTTLS, which remembers nothing of the one before (RFC 3207 section 4.2).
    async fn handshake(mut self) -> Option<Self> {
        self.connection.flush().await.ok()?;
        let Wire::Plain(plain) = self.connection.into_wire() else {
            return None;
        };
        let session = Self::encrypted(&self.intake, plain, self.client).await?;
        Some(Self {
            messages: self.messages,
            errors: self.errors,
            idle_commands: self.idle_commands,
            ..session
        })
    }

    async fn encrypted(
        intake: &Arc<Intake>,
        plain: Box<dyn Transport>,
        client: IpAddr,
    ) -> Option<Self> {
        let acceptor = intake.tls.as_ref()?.current();
        let longest = intake.settings.timeout.tls_handshake;
        let handshake = tls::accept(&acceptor, plain);
        let handshake = tokio::select! {
            biased;
            () = intake.stop.cancelled() => return None,
            handshake = timeout(longest, handshake) => handshake,
        };
        let failed = |reason: &dyn std::fmt::Display| {
            tracing::debug!(%reason, "SMTP client TLS handshake failed");
            intake.observer.record(IntakeActivity::HandshakeFailed);
        };
        let encrypted = match handshake {
            Ok(Ok(encrypted)) => encrypted,
            Ok(Err(error)) => {
                failed(&error);
                return None;
            }
            Err(_) => {
                failed(&"no handshake in time (setting timeout.tls_handshake)");
                return None;
            }
        };
        let certificate = encrypted.certificate.as_ref();
        let user = certificate.and_then(|it| it.user(&intake.settings.user));
        let wire = Wire::Tls(Box::new(encrypted.stream));
        let connection = Connection::new(wire, intake.settings.timeout.reply);
        let certificate_user = user.map(str::to_owned);
        Some(Self {
            tls: Some(encrypted.version_and_cipher),
            certificate_user,
            ..Self::new(Arc::clone(intake), connection, client)
        })
    }
}
