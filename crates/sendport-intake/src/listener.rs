//! Accepts connections.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use sendport_core::clock::Clock;
use sendport_core::domain::domain_to_ascii;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

use crate::access::AccessRules;
use crate::client_limits::{ClientRate, ConnectionLimits, ConnectionPlace, ConnectionRefusal};
use crate::content::incoming::ContentLimits;
use crate::content::memory::MemoryBudget;
use crate::observer::{IntakeActivity, IntakeObserver};
use crate::queue::MessageQueue;
use crate::reply::Reply;
use crate::session::serve;
use crate::settings::{IntakeTls, SmtpIntakeConfig};
use crate::tls::{ReloadableTls, TlsSettingsError};
use crate::users::{Passwords, UsersError};

/// Content of all connections together that is in memory beyond the first 64 KiB of each message.
pub(crate) const CONTENT_MEMORY: usize = 64 << 20;

/// Failed authentications of one client in the window before the next attempts are refused.
const MOST_AUTH_FAILURES: u32 = 10;
const AUTH_FAILURE_WINDOW: Duration = Duration::from_secs(300);

/// Connections that wait for [`SmtpIntake::run`] to accept them.
const BACKLOG: u32 = 1024;

/// The pause after a failed accept, mostly for want of descriptors: sessions that end free some.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What an intake works with.
pub struct IntakeDependencies {
    /// Where messages go.
    pub queue: Arc<dyn MessageQueue>,
    /// Records what it does.
    pub observer: Arc<dyn IntakeObserver>,
    /// The time in header fields.
    pub clock: Arc<dyn Clock>,
    /// Folder for the content of long messages, as files without a name.
    pub folder: PathBuf,
    /// The name where `hostname` is not set.
    pub default_hostname: String,
    /// The name of this computer, for people.
    pub host_name: String,
    /// The database behind the queue, for people: the same one has the same name.
    pub database: String,
}

/// Why an intake cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// An address cannot be bound.
    #[error("listen: cannot listen on {address}: {source}; {}", advice(.source))]
    Bind {
        /// Which one.
        address: SocketAddr,
        /// The reason.
        source: io::Error,
    },
    /// A certificate or a key cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsSettingsError),
    /// A user cannot be used.
    #[error("user: {0}")]
    Users(#[from] UsersError),
    /// The name in the greeting is no domain.
    #[error("hostname: expected a name such as \"mail.contoso.com\", found \"{found}\": {problem}")]
    Hostname {
        /// As configured.
        found: String,
        /// What is wrong.
        problem: &'static str,
    },
}

fn advice(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::AddrInUse => {
            "find the program that uses the port (ss -ltnp), or name another port"
        }
        io::ErrorKind::PermissionDenied => {
            "ports below 1024 need the capability CAP_NET_BIND_SERVICE, or name another port"
        }
        _ => "name an address of this machine",
    }
}

/// What all sessions of an intake share.
pub(crate) struct Intake {
    pub(crate) name: String,
    pub(crate) hostname: String,
    pub(crate) settings: SmtpIntakeConfig,
    pub(crate) rules: AccessRules,
    pub(crate) passwords: Passwords,
    pub(crate) tls: Option<ReloadableTls>,
    pub(crate) content_limits: ContentLimits,
    pub(crate) connections: Arc<ConnectionLimits>,
    pub(crate) message_rate: Option<ClientRate>,
    pub(crate) auth_failures: ClientRate,
    pub(crate) queue: Arc<dyn MessageQueue>,
    pub(crate) observer: Arc<dyn IntakeObserver>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) stop: CancellationToken,
}

impl Intake {
    pub(crate) fn new(
        name: String,
        settings: SmtpIntakeConfig,
        dependencies: IntakeDependencies,
    ) -> Result<Self, StartError> {
        let hostname = settings
            .hostname
            .clone()
            .unwrap_or(dependencies.default_hostname);
        let ascii = domain_to_ascii(&hostname).map(|ascii| ascii.into_owned());
        let minute = Duration::from_secs(60);
        let rate = settings.max_messages_per_minute_per_client;
        Ok(Self {
            name,
            hostname: ascii.map_err(|problem| StartError::Hostname {
                found: hostname.clone(),
                problem,
            })?,
            rules: AccessRules::new(&settings),
            passwords: Passwords::new(&settings.user)?,
            tls: ReloadableTls::new(&settings, Arc::clone(&dependencies.observer))?,
            content_limits: ContentLimits {
                size: settings.max_message_size.0,
                hops: settings.hop_limit as usize,
                memory: MemoryBudget::new(CONTENT_MEMORY),
                folder: dependencies.folder.into(),
            },
            connections: Arc::new(ConnectionLimits::new(
                settings.max_connections,
                settings.max_connections_per_client,
            )),
            message_rate: rate.map(|most| ClientRate::new(most, minute)),
            auth_failures: ClientRate::new(MOST_AUTH_FAILURES, AUTH_FAILURE_WINDOW),
            queue: dependencies.queue,
            observer: dependencies.observer,
            clock: dependencies.clock,
            stop: CancellationToken::new(),
            settings,
        })
    }
}

/// A listening SMTP server. It serves while [`SmtpIntake::run`] does.
pub struct SmtpIntake {
    intake: Arc<Intake>,
    listeners: Vec<TcpListener>,
}

impl SmtpIntake {
    /// Listens on the configured addresses; clients wait until [`SmtpIntake::run`] is called. `name` is that of
    /// `[intake.<name>]`. The settings have no [`SmtpIntakeConfig::problems`].
    ///
    /// # Errors
    /// [`StartError`] names the setting.
    pub async fn bind(
        name: &str,
        settings: &SmtpIntakeConfig,
        dependencies: IntakeDependencies,
    ) -> Result<Self, StartError> {
        let intake = Intake::new(name.to_owned(), settings.clone(), dependencies)?;
        let mut listeners = Vec::new();
        for &address in &settings.listen {
            let bound = listen(address);
            listeners.push(bound.map_err(|source| StartError::Bind { address, source })?);
        }
        Ok(Self {
            intake: Arc::new(intake),
            listeners,
        })
    }

    /// The addresses that it listens on, with the ports that the system chose for port 0.
    ///
    /// # Errors
    /// What the system says.
    pub fn local_addresses(&self) -> io::Result<Vec<SocketAddr>> {
        self.listeners.iter().map(TcpListener::local_addr).collect()
    }

    /// Serves until `stop`. Then sessions that wait for a command end with 421, the others after the reply to their
    /// content; it returns when all have ended. Dropping the future ends them at once: a message whose commit is not
    /// answered may be committed or not.
    pub async fn run(self, stop: CancellationToken) {
        for listener in &self.listeners {
            if let Ok(address) = listener.local_addr() {
                tracing::info!(intake = self.intake.name, %address, "SMTP intake started");
            }
        }
        let stopping = self.intake.stop.clone();
        let mut accepting = JoinSet::new();
        for listener in self.listeners {
            accepting.spawn(keep_accepting(Arc::new(listener), Arc::clone(&self.intake)));
        }
        tokio::pin! {
            let stopped = stop.cancelled();
        }
        loop {
            tokio::select! {
                () = &mut stopped, if !stopping.is_cancelled() => stopping.cancel(),
                ended = accepting.join_next() => if ended.is_none() { break },
            }
        }
        tracing::info!(intake = self.intake.name, "SMTP intake stopped");
    }
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    // A restart does not wait for connections of the process before it. On Windows it would share the port.
    #[cfg(unix)]
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Accepts until the intake stops. A port that is open but answers nobody would be worse than the sessions that a panic
/// ends.
async fn keep_accepting(listener: Arc<TcpListener>, intake: Arc<Intake>) {
    let mut task = JoinSet::new();
    loop {
        task.spawn(accept(Arc::clone(&listener), Arc::clone(&intake)));
        match task.join_next().await {
            Some(Err(error)) => tracing::error!(%error, intake = intake.name, "SMTP accept failed"),
            Some(Ok(())) | None => break,
        }
        tokio::time::sleep(ACCEPT_PAUSE).await;
    }
}

/// Accepts until the intake stops, then waits for the sessions.
async fn accept(listener: Arc<TcpListener>, intake: Arc<Intake>) {
    let mut sessions = JoinSet::new();
    loop {
        tokio::select! {
            biased;
            () = intake.stop.cancelled() => break,
            Some(ended) = sessions.join_next() => report_panic(ended),
            accepted = listener.accept() => match accepted {
                Ok((tcp, client)) => admit(&intake, tcp, client, &mut sessions),
                Err(error) => {
                    tracing::warn!(%error, intake = intake.name, "SMTP accept failed");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
        }
    }
    drop(listener);
    while let Some(ended) = sessions.join_next().await {
        report_panic(ended);
    }
}

fn report_panic(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended {
        tracing::error!(%error, "SMTP session failed");
    }
}

/// Records the end of a connection however it comes.
struct OpenConnection {
    _place: ConnectionPlace,
    observer: Arc<dyn IntakeObserver>,
}

impl OpenConnection {
    fn new(place: ConnectionPlace, observer: Arc<dyn IntakeObserver>) -> Self {
        observer.record(IntakeActivity::ConnectionOpened);
        Self {
            _place: place,
            observer,
        }
    }
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.observer.record(IntakeActivity::ConnectionClosed);
    }
}

fn admit(intake: &Arc<Intake>, tcp: TcpStream, client: SocketAddr, sessions: &mut JoinSet<()>) {
    let address = client.ip().to_canonical();
    let place = match intake.connections.place(address) {
        Ok(place) => place,
        Err(refusal) => return turn_away(intake, &tcp, refusal),
    };
    // Replies are written whole: waiting for more only delays them.
    if let Err(error) = tcp.set_nodelay(true) {
        tracing::debug!(%error, "setting TCP_NODELAY failed");
    }
    let span = tracing::info_span!("smtp_session", intake = intake.name, client = %address);
    let intake = Arc::clone(intake);
    let open = OpenConnection::new(place, Arc::clone(&intake.observer));
    let session = async move {
        let _open = open;
        serve(intake, Box::new(tcp), address).await;
    };
    sessions.spawn(session.instrument(span));
}

/// Closes a connection for which there is no place, with 421 where it can be read.
fn turn_away(intake: &Intake, tcp: &TcpStream, refusal: ConnectionRefusal) {
    tracing::debug!(intake = intake.name, ?refusal, "SMTP connection refused");
    intake.observer.record(IntakeActivity::ConnectionRefused);
    if intake.settings.tls == IntakeTls::Implicit {
        return;
    }
    let what = match refusal {
        ConnectionRefusal::TooMany => "too many connections, try again later",
        ConnectionRefusal::TooManyOfClient => {
            "too many connections from your address, try again later"
        }
    };
    let mut reply = Vec::new();
    Reply::new(421, "4.7.0", what).write(&mut reply);
    // The send buffer of a new connection has room for it; a client that has gone does not need it.
    let _written = tcp.try_write(&reply);
}
