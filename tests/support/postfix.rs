//! A real Postfix on loopback, in a folder of its own, gone when it is dropped.
//!
//! It takes mail for `example.test` and delivers it into a maildir: any local part, except that
//! those starting with `nouser` get `550 5.1.1` and those starting with `defer` `450 4.2.0`.
//! Other domains are for clients that authenticated as [`USER`]; that email ends in the maildir, too.

mod setup;

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::process::{Child, ExitStatus};
use std::time::Duration;

use openssl::ssl::{SslConnector, SslMethod};
use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::net::TcpStream;
use tokio::time::{Instant, interval, timeout};
use tokio_openssl::SslStream;

use self::setup::Setup;
use super::maildir::{self, DeliveredMessage};
use super::peer::{self, KerberosService, ProcessGuard};

/// The user that may authenticate.
pub(crate) const USER: &str = "alice";
/// The password of [`USER`].
pub(crate) const PASSWORD: &str = "Secret-1";
/// What Postfix calls itself, and one of the names in its certificate.
pub(crate) const HOST_NAME: &str = "postfix.test";

const GREETING_WITHIN: Duration = Duration::from_secs(20);
const START_WITHIN: Duration = Duration::from_secs(60);
const POLL_EVERY: Duration = Duration::from_millis(25);

/// How one instance differs from `tests/support/postfix/main.cf`.
pub(crate) struct PostfixOptions {
    /// Parameters of `main.cf`; they win over the usual ones.
    pub(crate) main_cf: Vec<(String, String)>,
    /// What `AUTH` offers, of what Cyrus SASL has.
    pub(crate) mechanisms: String,
    /// What GSSAPI needs.
    pub(crate) kerberos: Option<KerberosService>,
}

impl Default for PostfixOptions {
    fn default() -> Self {
        Self {
            main_cf: Vec::new(),
            mechanisms: "PLAIN LOGIN".to_owned(),
            kerberos: None,
        }
    }
}

impl PostfixOptions {
    /// A [`super::dovecot::Dovecot`] behind a socket checks credentials.
    pub(crate) fn dovecot(socket: &Path) -> Self {
        let setting = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        Self {
            main_cf: vec![
                setting("smtpd_sasl_type", "dovecot"),
                setting("smtpd_sasl_path", &socket.to_string_lossy()),
            ],
            ..Self::default()
        }
    }
}

/// A running Postfix.
pub(crate) struct Postfix {
    folder: TempDir,
    ca_file: PathBuf,
    plain: SocketAddr,
    implicit_tls: SocketAddr,
    master: Child,
    guard: Option<ProcessGuard>,
}

impl Postfix {
    /// False, and says so on one line, where `SENDPORT_TEST_PEERS=none` says to do without.
    /// Everywhere else a missing Postfix is a failure.
    pub(crate) fn available() -> bool {
        peer::available("Postfix")
    }

    /// Starts one and waits until it greets on both ports.
    ///
    /// # Panics
    /// When the packages are not unpacked, without root, and when Postfix does not come up.
    pub(crate) async fn start(options: PostfixOptions) -> Self {
        peer::need_root("Postfix's master");
        // Between the choice of a port and master's bind, another program may take the port.
        // Master reports that to syslog only, so it is started again whatever ended it.
        let mut starts = 0;
        loop {
            let mut postfix = Self::spawn(&options);
            starts += 1;
            match postfix.comes_up().await {
                Ok(()) => return postfix,
                Err(status) => assert!(
                    starts < 3,
                    "Postfix ended {starts} times at its start, now with {status}; syslog knows why"
                ),
            }
        }
    }

    /// Kills it with all its processes. What it accepted and did not deliver yet stays in
    /// its queue. Returns when its ports have no listener any more.
    ///
    /// # Panics
    /// When they still have one after a while.
    pub(crate) async fn stop(&mut self) {
        self.watch("");
        let status = self.master.wait();
        status.expect("master to end");
        let ports = [self.plain, self.implicit_tls];
        // Master's children hold the listening sockets, too.
        self.wait_until("its ports have no listener", START_WITHIN, || {
            ports
                .iter()
                .all(|port| std::net::TcpStream::connect(port).is_err())
        })
        .await;
    }

    /// Starts a stopped one on the same ports and waits until it greets on both.
    ///
    /// # Panics
    /// When it does not come up: another program may have taken a port.
    pub(crate) async fn start_again(&mut self) {
        self.master = Setup::existing(self.folder.path()).spawn_master();
        self.watch(&self.master.id().to_string());
        if let Err(status) = self.comes_up().await {
            panic!("Postfix ended at its second start with {status}; syslog knows why");
        }
    }

    /// Port without TLS at first: offers STARTTLS, and AUTH with and without it.
    pub(crate) fn plain(&self) -> SocketAddr {
        self.plain
    }

    /// Port with TLS from the first byte.
    pub(crate) fn implicit_tls(&self) -> SocketAddr {
        self.implicit_tls
    }

    /// The issuer of the server's certificate for `localhost`, [`HOST_NAME`] and 127.0.0.1.
    pub(crate) fn ca_file(&self) -> &Path {
        &self.ca_file
    }

    /// Everything delivered so far, one entry for each recipient of each message.
    pub(crate) fn messages(&self) -> Vec<DeliveredMessage> {
        maildir::read(&self.maildir())
    }

    /// Waits until `n` messages are delivered, and gives all that are there by then.
    ///
    /// # Panics
    /// With the tail of the log, when that takes longer than `within`.
    pub(crate) async fn wait_for_messages(
        &self,
        n: usize,
        within: Duration,
    ) -> Vec<DeliveredMessage> {
        let what = format!("{n} messages delivered");
        self.wait_until(&what, within, || maildir::count(&self.maildir()) >= n)
            .await;
        self.messages()
    }

    /// Waits until nothing is on its way to the maildir: what is to come has come.
    ///
    /// # Panics
    /// With the tail of the log, when that takes longer than `within`.
    pub(crate) async fn wait_until_idle(&self, within: Duration) {
        let queues = ["incoming", "active", "deferred"].map(|name| self.path("queue").join(name));
        self.wait_until("an empty queue", within, || {
            queues.iter().all(|queue| is_empty(queue))
        })
        .await;
    }

    /// How often each message reached each recipient: above one is a duplicate.
    pub(crate) fn count_by_message_id_and_recipient(&self) -> BTreeMap<(String, String), usize> {
        let mut counts = BTreeMap::new();
        for message in self.messages() {
            let key = (message.message_id, message.recipient);
            *counts.entry(key).or_default() += 1;
        }
        counts
    }

    /// Runs Postfix's own `smtp-source` against an address, to its end.
    ///
    /// # Panics
    /// When it fails.
    pub(crate) fn smtp_source(&self, address: SocketAddr, arguments: &[&str]) {
        let setup = Setup::existing(self.folder.path());
        let status = setup
            .command("usr/sbin/smtp-source")
            .args(arguments)
            .arg(format!("inet:{address}"))
            .status();
        let status = status.expect("smtp-source to run");
        assert!(status.success(), "smtp-source {arguments:?}: {status}");
    }

    /// Waits until Postfix, which logs through a process of its own, has logged a text.
    ///
    /// # Panics
    /// With the tail of the log, when that takes longer than `within`.
    pub(crate) async fn wait_for_log(&self, text: &str, within: Duration) {
        let what = format!("'{text}' in the log");
        self.wait_until(&what, within, || self.mail_log().contains(text))
            .await;
    }

    /// What Postfix logged.
    pub(crate) fn mail_log(&self) -> String {
        ["master.out", "mail.log"]
            .map(|name| fs::read(self.path(name)).unwrap_or_default())
            .map(|text| String::from_utf8_lossy(&text).into_owned())
            .concat()
    }

    fn spawn(options: &PostfixOptions) -> Self {
        let folder = peer::folder("postfix");
        let [plain, implicit_tls] = peer::free_ports();
        let setup = Setup::new(folder.path());
        let ca_file = setup.prepare(options, plain, implicit_tls);
        let postfix = Self {
            master: setup.spawn_master(),
            guard: Some(ProcessGuard::new(folder.path())),
            folder,
            ca_file,
            plain,
            implicit_tls,
        };
        postfix.watch(&postfix.master.id().to_string());
        postfix
    }

    fn watch(&self, group: &str) {
        self.guard.as_ref().expect("a guard").watch(group);
    }

    /// Waits until both ports greet. An error is how master ended instead.
    async fn comes_up(&mut self) -> Result<(), ExitStatus> {
        let deadline = Instant::now() + START_WITHIN;
        let mut ticks = interval(POLL_EVERY);
        while Instant::now() < deadline {
            ticks.tick().await;
            let greets = timeout(GREETING_WITHIN, self.greets_on_both_ports()).await;
            // Checked last: if master has ended, another program greets.
            if let Some(status) = self.master.try_wait().expect("the state of master") {
                return Err(status);
            }
            if greets == Ok(Some(true)) {
                return Ok(());
            }
        }
        panic!("Postfix does not greet:\n{}", self.log_tail());
    }

    async fn greets_on_both_ports(&self) -> Option<bool> {
        let mut plain = TcpStream::connect(self.plain).await.ok()?;
        let mut encrypted = self.connect_encrypted().await?;
        Some(greets(&mut plain).await && greets(&mut encrypted).await)
    }

    async fn connect_encrypted(&self) -> Option<SslStream<TcpStream>> {
        let mut connector = SslConnector::builder(SslMethod::tls_client()).expect("a connector");
        connector.set_ca_file(&self.ca_file).expect("the authority");
        let ssl = connector
            .build()
            .configure()
            .and_then(|connector| connector.into_ssl("localhost"))
            .expect("a TLS client");
        let stream = TcpStream::connect(self.implicit_tls).await.ok()?;
        let mut stream = SslStream::new(ssl, stream).expect("a TLS stream");
        Pin::new(&mut stream).connect().await.ok()?;
        Some(stream)
    }

    async fn wait_until(&self, what: &str, within: Duration, is_so: impl Fn() -> bool) {
        let deadline = Instant::now() + within;
        let mut ticks = interval(POLL_EVERY);
        while !is_so() {
            assert!(
                Instant::now() < deadline,
                "not within {within:?}: {what}; there are {} messages. Postfix says:\n{}",
                maildir::count(&self.maildir()),
                self.log_tail(),
            );
            ticks.tick().await;
        }
    }

    fn log_tail(&self) -> String {
        let log = self.mail_log();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(30)..].join("\n")
    }

    fn maildir(&self) -> PathBuf {
        self.mailbox("all")
    }

    /// The Maildir that `virtual_mailbox_maps` names so.
    pub(crate) fn mailbox(&self, name: &str) -> PathBuf {
        self.path("mail").join(name)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

impl Drop for Postfix {
    #[expect(clippy::print_stderr, reason = "a failing test shows the other side")]
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("The end of Postfix's log:\n{}", self.log_tail());
        }
        drop(self.guard.take());
        // Dropping reports nothing.
        let _ = self.master.wait();
    }
}

async fn greets(stream: &mut (impl AsyncRead + Unpin)) -> bool {
    let mut start = [0; 4];
    stream.read_exact(&mut start).await.is_ok() && start == *b"220 "
}

fn is_empty(folder: &Path) -> bool {
    let entries = fs::read_dir(folder).expect("a queue of Postfix");
    // The deferred queue has a folder for each first letter.
    entries
        .flatten()
        .all(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()) && is_empty(&entry.path()))
}
