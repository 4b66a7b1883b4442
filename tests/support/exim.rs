//! A real Exim on loopback, in a folder of its own, gone when it is dropped.
//!
//! It accepts email as [`super::postfix`] does: for `example.test` from every client, except for
//! `nouser..` and `defer..`, for other domains from authenticated clients, and delivers all of it
//! into one maildir.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use tokio::time::{Instant, interval};

use super::certificates::TestAuthority;
use super::maildir::{self, DeliveredMessage};
use super::peer::{self, Packages, Server};
use super::postfix::{PASSWORD, USER};

/// What Exim calls itself, and one of the names in its certificate.
pub(crate) const HOST_NAME: &str = "exim.test";

/// Compiled into Debian's Exim by its name; only the wrapped name service knows it.
const EXIM: &str = "Debian-exim";
const EXIM_ID: u32 = 21_025;
const POLL_EVERY: Duration = Duration::from_millis(25);

/// The server that checks what Exim does not check itself.
pub(crate) enum Authenticator {
    /// `driver = spa`: NTLMv1.
    Spa,
    /// `driver = dovecot`, with the socket of a [`super::dovecot::Dovecot`]: what that one offers
    /// of NTLM and SCRAM.
    Dovecot(PathBuf),
}

/// A running Exim.
pub(crate) struct Exim {
    server: Server,
    plain: SocketAddr,
    implicit_tls: SocketAddr,
}

impl Exim {
    pub(crate) fn available() -> bool {
        peer::available("Exim")
    }

    /// Starts one and waits until it greets. `authority` signs its certificate; clients
    /// with a certificate of it for [`USER`] may authenticate with that.
    ///
    /// # Panics
    /// When the packages are not unpacked, without root, and when Exim does not come up.
    pub(crate) async fn start(authority: &TestAuthority, authenticator: Authenticator) -> Self {
        Self::with_configuration(authority, &configuration(&authenticator)).await
    }

    /// The same, but it sends everything to this smart host, over TLS with a certificate of `authority`.
    pub(crate) async fn with_smart_host(authority: &TestAuthority, smart_host: SocketAddr) -> Self {
        let own = configuration(&Authenticator::Spa);
        let route = include_str!("exim/smart_host")
            .replace("@HOST@", &smart_host.ip().to_string())
            .replace("@PORT@", &smart_host.port().to_string());
        let (routers, transports) = route.split_once("begin transports\n").expect("both");
        let configuration = own.replace("begin routers\n", routers).replace(
            "begin transports\n",
            &format!("begin transports\n{transports}"),
        );
        Self::with_configuration(authority, &configuration).await
    }

    async fn with_configuration(authority: &TestAuthority, configuration: &str) -> Self {
        peer::need_root("Exim with users of its own");
        peer::started(async || {
            let mut exim = Self::spawn(authority, configuration);
            let plain = exim.plain;
            let up = exim.server.comes_up(async || peer::greets(plain).await);
            up.await.map(|()| exim)
        })
        .await
    }

    /// Port without TLS at first: offers STARTTLS, and AUTH with and without it.
    pub(crate) fn plain(&self) -> SocketAddr {
        self.plain
    }

    /// Port with TLS from the first byte.
    pub(crate) fn implicit_tls(&self) -> SocketAddr {
        self.implicit_tls
    }

    /// What it logged.
    pub(crate) fn log(&self) -> String {
        self.server.log()
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
        let maildir = self.server.path("mail/all");
        let deadline = Instant::now() + within;
        let mut ticks = interval(POLL_EVERY);
        while maildir::count(&maildir) < n {
            assert!(
                Instant::now() < deadline,
                "not within {within:?}: {n} messages delivered. Exim says:\n{}",
                self.server.log_tail(),
            );
            ticks.tick().await;
        }
        maildir::read(&maildir)
    }

    fn spawn(authority: &TestAuthority, configuration: &str) -> Self {
        let folder = peer::folder("exim");
        let run = folder.path();
        let packages = Packages::copy("exim", "usr/sbin/exim4", run.join("packages"));
        let [plain, implicit_tls] = peer::free_ports();
        let configuration = configuration
            .replace("@ROOT@", &packages.root().to_string_lossy())
            .replace("@RUN@", &run.to_string_lossy())
            .replace("@PLAIN@", &plain.port().to_string())
            .replace("@IMPLICIT_TLS@", &implicit_tls.port().to_string())
            .replace("@USER@", USER)
            .replace("@PASSWORD@", PASSWORD);
        peer::write(&run.join("exim.conf"), configuration);
        write_users(run);
        authority.write_server(&run.join("tls"), &["localhost", HOST_NAME, "127.0.0.1"]);
        for name in ["tls", "spool", "log", "mail"] {
            peer::make_folder(&run.join(name), EXIM_ID, EXIM_ID, 0o755);
        }
        let command = daemon(&packages, run);
        Self {
            server: Server::spawn("Exim", folder, command),
            plain,
            implicit_tls,
        }
    }
}

fn configuration(authenticator: &Authenticator) -> String {
    let more = match authenticator {
        Authenticator::Spa => include_str!("exim/spa").to_owned(),
        Authenticator::Dovecot(socket) => {
            include_str!("exim/dovecot").replace("@DOVECOT@", &socket.to_string_lossy())
        }
    };
    include_str!("exim/exim.conf").to_owned() + &more
}

fn write_users(run: &Path) {
    let user = format!("{EXIM}:x:{EXIM_ID}:{EXIM_ID}::/nonexistent:/usr/sbin/nologin");
    let group = format!("{EXIM}:x:{EXIM_ID}:");
    let passwd = peer::with_lines("/etc/passwd", &user);
    peer::write(&run.join("nss.passwd"), passwd);
    peer::write(
        &run.join("nss.group"),
        peer::with_lines("/etc/group", &group),
    );
}

fn daemon(packages: &Packages, run: &Path) -> Command {
    let mut command = packages.command("usr/sbin/exim4", &["usr/lib"]);
    command
        .arg("-C")
        .arg(run.join("exim.conf"))
        .arg("-bdf")
        .env("LD_PRELOAD", packages.library("libnss_wrapper.so"))
        .env("NSS_WRAPPER_PASSWD", run.join("nss.passwd"))
        .env("NSS_WRAPPER_GROUP", run.join("nss.group"));
    command
}
