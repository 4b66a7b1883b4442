//! A real Dovecot on loopback, in a folder of its own, gone when it is dropped: its submission
//! service, and the socket on which it authenticates for Postfix and Exim. NTLM is checked by
//! Samba's `ntlm_auth`, for [`USER`] and [`PASSWORD`] as everything else.

use std::fs::{self, Permissions};
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::certificates::TestAuthority;
use super::peer::{self, KerberosService, Packages, Server};
use super::postfix::{PASSWORD, USER};

/// What Dovecot calls itself, and one of the names in its certificate.
pub(crate) const HOST_NAME: &str = "dovecot.test";

/// What signs the tokens (RFC 7519) that are accepted as [`USER`]'s, with HMAC-SHA256.
pub(crate) const TOKEN_KEY: &[u8] = b"a key that only the tests know..";

const MECHANISMS: &str =
    "plain login cram-md5 scram-sha-1 scram-sha-256 ntlm xoauth2 oauthbearer external";

/// Where the libraries of its own are. `libstats_auth` is among the old ones.
const LIBRARIES: [&str; 2] = ["usr/lib/dovecot", "usr/lib/dovecot/modules/old-stats"];

/// A running Dovecot.
pub(crate) struct Dovecot {
    server: Server,
    plain: SocketAddr,
    implicit_tls: SocketAddr,
}

impl Dovecot {
    pub(crate) fn available() -> bool {
        peer::available("Dovecot")
    }

    /// Starts one and waits until it greets. What is submitted goes on to `relay`. With
    /// `kerberos` it offers GSSAPI, too.
    ///
    /// # Panics
    /// When the packages are not unpacked, without root, and when Dovecot does not come up.
    pub(crate) async fn start(
        authority: &TestAuthority,
        relay: SocketAddr,
        kerberos: Option<&KerberosService>,
    ) -> Self {
        peer::need_root("Dovecot");
        peer::started(async || {
            let mut dovecot = Self::spawn(authority, relay, kerberos);
            let plain = dovecot.plain;
            let up = dovecot.server.comes_up(async || peer::greets(plain).await);
            up.await.map(|()| dovecot)
        })
        .await
    }

    /// Port of the submission service without TLS at first: offers STARTTLS, and AUTH with and
    /// without it.
    pub(crate) fn plain(&self) -> SocketAddr {
        self.plain
    }

    /// Port of the submission service with TLS from the first byte.
    pub(crate) fn implicit_tls(&self) -> SocketAddr {
        self.implicit_tls
    }

    /// The socket that Postfix and Exim ask.
    pub(crate) fn auth_socket(&self) -> PathBuf {
        self.server.path("run/auth-client")
    }

    fn spawn(
        authority: &TestAuthority,
        relay: SocketAddr,
        kerberos: Option<&KerberosService>,
    ) -> Self {
        let folder = peer::folder("dovecot");
        let run = folder.path();
        let packages = Packages::link("dovecot", "usr/sbin/dovecot", run.join("packages"));
        let samba = Packages::link("samba", "usr/bin/ntlm_auth", run.join("samba-packages"));
        let [plain, implicit_tls] = peer::free_ports();
        let mechanisms =
            kerberos.map_or_else(|| MECHANISMS.into(), |_| format!("{MECHANISMS} gssapi"));
        let fill = |text: &str| {
            text.replace("@ROOT@", &packages.root().to_string_lossy())
                .replace("@SAMBA@", &samba.root().to_string_lossy())
                .replace("@LIBRARIES@", &samba_libraries(&samba))
                .replace("@RUN@", &run.to_string_lossy())
                .replace("@HOST_NAME@", HOST_NAME)
                .replace("@MECHANISMS@", &mechanisms)
                .replace("@PLAIN@", &plain.port().to_string())
                .replace("@IMPLICIT_TLS@", &implicit_tls.port().to_string())
                .replace("@RELAY@", &relay.port().to_string())
                .replace("@USER@", USER)
                .replace("@PASSWORD@", PASSWORD)
        };
        write_configuration(run, &fill);
        authority.write_server(&run.join("tls"), &["localhost", HOST_NAME, "127.0.0.1"]);
        let command = master(&packages, run, kerberos);
        Self {
            server: Server::spawn("Dovecot", folder, command),
            plain,
            implicit_tls,
        }
    }
}

fn write_configuration(run: &Path, fill: &dyn Fn(&str) -> String) {
    let write = |name: &str, text: &str| peer::write(&run.join(name), fill(text));
    write("dovecot.conf", include_str!("dovecot/dovecot.conf"));
    write("oauth2.conf", include_str!("dovecot/oauth2.conf"));
    write("users", "@USER@:{PLAIN}@PASSWORD@\n");
    write("certified", "@USER@:::::::nopassword=y\n");
    write("smb.conf", include_str!("dovecot/smb.conf"));
    write("ntlm_auth", include_str!("dovecot/ntlm_auth"));
    let executable = Permissions::from_mode(0o755);
    fs::set_permissions(run.join("ntlm_auth"), executable).expect("to make it executable");
    let key = openssl::base64::encode_block(TOKEN_KEY);
    write("keys/default/HS256/default", &key);
    fs::create_dir(run.join("samba")).expect("a folder");
    fs::create_dir(run.join("mail")).expect("a folder");
    // Its users write here.
    let everybody = Permissions::from_mode(0o777);
    fs::set_permissions(run.join("mail"), everybody).expect("to open a folder");
}

/// `doveconf`, which hands the environment on, becomes the master.
fn master(packages: &Packages, run: &Path, kerberos: Option<&KerberosService>) -> Command {
    let configuration = run.join("dovecot.conf");
    let mut command = packages.command("usr/bin/doveconf", &LIBRARIES);
    command
        .args(["-f", "service=master", "-m", "master", "-c"])
        .arg(&configuration)
        .arg("-e")
        .arg(packages.root().join("usr/sbin/dovecot"))
        .args(["-F", "-c"])
        .arg(&configuration)
        .env(
            "LD_PRELOAD",
            packages.root().join("usr/lib/dovecot/modules_beside.so"),
        );
    if let Some(kerberos) = kerberos {
        command
            .env("KRB5_CONFIG", &kerberos.configuration)
            .env("KRB5_KTNAME", &kerberos.keytab);
    }
    command
}

/// Samba keeps most of its libraries in a folder of their own.
fn samba_libraries(samba: &Packages) -> String {
    let folders = samba.library_folders().into_iter();
    let folders = folders.flat_map(|folder| [folder.clone(), folder.join("samba")]);
    let path = std::env::join_paths(folders).expect("folders without a colon");
    path.into_string().expect("folders in UTF-8")
}
