//! A real MIT KDC on loopback, in a folder of its own, gone when it is dropped: one realm with
//! [`USER`] and the service [`SERVICE`].

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::peer::{self, KerberosService, Packages, Server};
use super::postfix::USER;

/// The realm.
pub(crate) const REALM: &str = "EXAMPLE.TEST";

/// The service that a client of `localhost` requests a ticket for.
pub(crate) const SERVICE: &str = "smtp/localhost";

/// Set for a test that runs in a process of its own.
const KRB5_CONF_VARIABLE: &str = "SENDPORT_TEST_KRB5_CONF";

/// A running KDC.
pub(crate) struct Kdc {
    server: Server,
    packages: Packages,
}

impl Kdc {
    pub(crate) fn available() -> bool {
        peer::available("the KDC of MIT Kerberos")
    }

    /// Starts one and waits until it listens.
    ///
    /// # Panics
    /// When the packages are not unpacked, and when it does not come up.
    pub(crate) async fn start() -> Self {
        peer::started(async || {
            let (mut kdc, address) = Self::spawn();
            let up = kdc.server.comes_up(async || peer::listens(address).await);
            up.await.map(|()| kdc)
        })
        .await
    }

    /// The client's `krb5.conf`.
    pub(crate) fn configuration(&self) -> PathBuf {
        self.server.path("krb5.conf")
    }

    /// Has this process ask this KDC: `krb5_conf` comes from [`in_own_process`].
    pub(crate) fn serve(&self, krb5_conf: &Path) {
        std::fs::copy(self.configuration(), krb5_conf).expect("to copy krb5.conf");
    }

    /// From now on `krb5_conf` names a port that no server has: so low a one is never given out.
    pub(crate) fn name_unreachable(krb5_conf: &Path) {
        let text = std::fs::read_to_string(krb5_conf).expect("krb5.conf");
        let lines = text.lines().map(|line| match line.trim_start() {
            kdc if kdc.starts_with("kdc = ") => "kdc = 127.0.0.1:1",
            _ => line,
        });
        let text: Vec<_> = lines.collect();
        std::fs::write(krb5_conf, text.join("\n")).expect("to write krb5.conf");
    }

    /// What the service [`SERVICE`] needs.
    pub(crate) fn service(&self) -> KerberosService {
        KerberosService {
            configuration: self.configuration(),
            keytab: self.keytab(SERVICE, "service.keytab"),
        }
    }

    /// What another service needs, with its own principal.
    pub(crate) fn service_of(&self, principal: &str) -> KerberosService {
        self.kadmin(&["addprinc", "-randkey", principal]);
        KerberosService {
            configuration: self.configuration(),
            keytab: self.keytab(principal, "further.keytab"),
        }
    }

    /// The keytab that [`USER`] authenticates with.
    pub(crate) fn user_keytab(&self) -> PathBuf {
        self.keytab(USER, "user.keytab")
    }

    /// A keytab of [`USER`] from before the key was replaced; to be asked for before
    /// [`Kdc::user_keytab`].
    pub(crate) fn outdated_keytab(&self) -> PathBuf {
        let file = self.keytab(USER, "outdated.keytab");
        self.kadmin(&["cpw", "-randkey", USER]);
        file
    }

    /// Makes the account of [`USER`] one that ended long ago.
    pub(crate) fn expire(&self) {
        self.kadmin(&["modprinc", "-expire", "2020-01-01", USER]);
    }

    fn keytab(&self, principal: &str, name: &str) -> PathBuf {
        let file = self.server.path(name);
        if !file.exists() {
            let text = file.to_str().expect("a file name in UTF-8");
            self.kadmin(&["ktadd", "-norandkey", "-k", text, principal]);
        }
        file
    }

    fn kadmin(&self, arguments: &[&str]) {
        kadmin(&self.packages, self.server.path("").as_path(), arguments);
    }

    fn spawn() -> (Self, SocketAddr) {
        let folder = peer::folder("kdc");
        let run = folder.path();
        let packages = Packages::link("kdc", "usr/sbin/krb5kdc", run.join("packages"));
        let [address] = peer::free_ports();
        let fill = |text: &str| {
            text.replace("@REALM@", REALM)
                .replace("@RUN@", &run.to_string_lossy())
                .replace(
                    "@LIBRARIES@",
                    &packages.library_folders()[0].to_string_lossy(),
                )
                .replace("@PORT@", &address.port().to_string())
        };
        peer::write(&run.join("krb5.conf"), fill(include_str!("kdc/krb5.conf")));
        peer::write(&run.join("kdc.conf"), fill(include_str!("kdc/kdc.conf")));
        create_realm(&packages, run);
        let mut command = command(&packages, run, "usr/sbin/krb5kdc");
        command.arg("-n");
        let server = Server::spawn("krb5kdc", folder, command);
        (Self { server, packages }, address)
    }
}

/// The library of MIT Kerberos reads its KDC from the environment alone. This runs `test` once
/// more in a process with a `krb5.conf` that will exist, and returns its name there; `None` in the
/// parent, where that process has done the work.
///
/// # Panics
/// When the test fails there.
pub(crate) async fn in_own_process(test: &str) -> Option<PathBuf> {
    if let Some(krb5_conf) = std::env::var_os(KRB5_CONF_VARIABLE) {
        return Some(krb5_conf.into());
    }
    let folder = peer::folder("client");
    let krb5_conf = folder.path().join("krb5.conf");
    let program = std::env::current_exe().expect("this program");
    let output = tokio::process::Command::new(program)
        .args(["--exact", test, "--nocapture"])
        .env("KRB5_CONFIG", &krb5_conf)
        .env(KRB5_CONF_VARIABLE, &krb5_conf)
        // To read the system's authorities for each of many relays takes most of the time.
        .env("SSL_CERT_FILE", "/dev/null")
        .kill_on_drop(true)
        .output()
        .await
        .expect("this program to run");
    let printed = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    // A name that no test has would succeed.
    let ran = output.status.success() && printed.contains("test result: ok. 1 passed");
    assert!(ran, "{test} in a process of its own:\n{printed}{errors}");
    None
}

fn create_realm(packages: &Packages, run: &Path) {
    let mut create = command(packages, run, "usr/sbin/kdb5_util");
    create.args(["-r", REALM, "-P", "the master password", "create", "-s"]);
    run_to_end(&mut create);
    for principal in [USER, SERVICE] {
        kadmin(packages, run, &["addprinc", "-randkey", principal]);
    }
}

fn kadmin(packages: &Packages, run: &Path, arguments: &[&str]) {
    let mut kadmin = command(packages, run, "usr/sbin/kadmin.local");
    kadmin.args(["-r", REALM]).args(arguments);
    run_to_end(&mut kadmin);
}

/// Fails where `kadmin.local` only complains and ends well.
fn run_to_end(command: &mut Command) {
    let output = command.output().expect("a program of the KDC to run");
    let shown = String::from_utf8_lossy(&output.stderr);
    let ended_well = output.status.success() && !shown.contains("while");
    assert!(ended_well, "{command:?}: {}\n{shown}", output.status);
}

fn command(packages: &Packages, run: &Path, program: &str) -> Command {
    let mut command = packages.command(program, &[]);
    command
        .env("KRB5_CONFIG", run.join("krb5.conf"))
        .env("KRB5_KDC_PROFILE", run.join("kdc.conf"));
    command
}
