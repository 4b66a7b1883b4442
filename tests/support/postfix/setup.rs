//! What the packages' own scripts would set up, in a folder instead of the system.

use std::fs;
use std::io::Write as _;
use std::net::SocketAddr;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, SystemTime};

use super::super::certificates::TestAuthority;
use super::super::peer::{self, Packages};
use super::{HOST_NAME, PASSWORD, PostfixOptions, USER};

/// Users that only the wrapped name service knows; master wants them for itself alone.
const POSTFIX_ID: u32 = 21_026;
const POSTDROP_ID: u32 = 21_029;
const KRB5_CONF: &str = "krb5.conf";
const KEYTAB: &str = "krb5.keytab";

/// The folder of one instance, being filled.
pub(super) struct Setup<'a> {
    packages: Packages,
    run: &'a Path,
}

impl<'a> Setup<'a> {
    pub(super) fn new(run: &'a Path) -> Self {
        let packages = Packages::link("postfix", "usr/lib/postfix/sbin/master", link(run));
        Self { packages, run }
    }

    /// The folder of an instance that was started before.
    pub(super) fn existing(run: &'a Path) -> Self {
        let packages = Packages::existing(link(run));
        Self { packages, run }
    }

    /// Writes everything that master wants to find; gives the file of the authority.
    pub(super) fn prepare(
        &self,
        options: &PostfixOptions,
        plain: SocketAddr,
        implicit_tls: SocketAddr,
    ) -> PathBuf {
        self.write_configuration(options, plain, implicit_tls);
        self.write_users();
        self.make_folders();
        self.set_password();
        if let Some(kerberos) = &options.kerberos {
            self.copy_for_smtpd(&kerberos.configuration, KRB5_CONF);
            self.copy_for_smtpd(&kerberos.keytab, KEYTAB);
        }
        self.write_certificates()
    }

    fn write_configuration(
        &self,
        options: &PostfixOptions,
        plain: SocketAddr,
        implicit_tls: SocketAddr,
    ) {
        let mut main_cf = String::new();
        for line in include_str!("main.cf").lines() {
            let name = line.split(" =").next().unwrap_or_default();
            if options.main_cf.iter().all(|(extra, _)| extra != name) {
                main_cf += &format!("{line}\n");
            }
        }
        for (name, value) in &options.main_cf {
            main_cf += &format!("{name} = {value}\n");
        }
        let fill = |text: &str| {
            text.replace("@ROOT@", &self.packages.root().to_string_lossy())
                .replace("@RUN@", &self.run.to_string_lossy())
                .replace("@UID@", &POSTFIX_ID.to_string())
                .replace("@PLAIN@", &plain.port().to_string())
                .replace("@IMPLICIT_TLS@", &implicit_tls.port().to_string())
                .replace("@MECHANISMS@", &options.mechanisms)
        };
        // Debian's Postfix looks for smtpd.conf below its own configuration, wherever
        // cyrus_sasl_config_path points.
        self.write("conf/sasl/smtpd.conf", fill(include_str!("smtpd.conf")));
        self.write("conf/main.cf", fill(&main_cf));
        self.write("conf/master.cf", fill(include_str!("master.cf")));
        self.write("conf/recipient_access", include_str!("recipient_access"));
    }

    fn write_users(&self) {
        let user = format!("postfix:x:{POSTFIX_ID}:{POSTFIX_ID}::/nonexistent:/usr/sbin/nologin");
        let groups = format!("postfix:x:{POSTFIX_ID}:\npostdrop:x:{POSTDROP_ID}:");
        self.write("nss.passwd", peer::with_lines("/etc/passwd", &user));
        self.write("nss.group", peer::with_lines("/etc/group", &groups));
    }

    fn make_folders(&self) {
        const PRIVATE: [&str; 11] = [
            "active", "bounce", "corrupt", "defer", "deferred", "flush", "hold", "incoming",
            "private", "saved", "trace",
        ];
        for name in PRIVATE {
            self.make_folder(&format!("queue/{name}"), POSTFIX_ID, 0o700);
        }
        self.make_folder("queue/maildrop", POSTDROP_ID, 0o730);
        self.make_folder("queue/public", POSTDROP_ID, 0o710);
        fs::create_dir(self.run.join("queue/pid")).expect("a folder");
        self.make_folder("data", POSTFIX_ID, 0o700);
        self.make_folder("mail", POSTFIX_ID, 0o700);
    }

    fn write_certificates(&self) -> PathBuf {
        let authority = TestAuthority::new();
        let server = authority.issue(&["localhost", HOST_NAME, "127.0.0.1"]);
        self.write("tls/cert.pem", server.certificate_pem());
        self.write("tls/key.pem", server.key_pem());
        self.write("tls/ca.pem", authority.pem())
    }

    fn copy_for_smtpd(&self, from: &Path, name: &str) {
        let to = self.run.join(name);
        fs::copy(from, &to).expect("to copy a file");
        chown(&to, Some(POSTFIX_ID), Some(POSTFIX_ID)).expect("to give it away");
    }

    fn set_password(&self) {
        let database = self.run.join("sasldb2");
        let mut saslpasswd = self
            .command("usr/sbin/saslpasswd2")
            .args(["-p", "-c", "-u", HOST_NAME, "-f"])
            .arg(&database)
            .arg(USER)
            .stdin(Stdio::piped())
            .spawn()
            .expect("saslpasswd2 to run");
        let mut input = saslpasswd.stdin.take().expect("its standard input");
        input
            .write_all(PASSWORD.as_bytes())
            .expect("to write to it");
        drop(input);
        let status = saslpasswd.wait().expect("saslpasswd2 to end");
        assert!(status.success(), "saslpasswd2: {status}");
        chown(&database, Some(POSTFIX_ID), Some(POSTFIX_ID)).expect("to give the passwords away");
    }

    /// In a process group of its own, by which it and its children are killed.
    pub(super) fn spawn_master(&self) -> Child {
        let output = fs::File::create(self.run.join("master.out")).expect("a file");
        let errors = output.try_clone().expect("the file again");
        let wrapper = self.packages.library("libnss_wrapper.so");
        self.command("usr/lib/postfix/sbin/master")
            .arg("-c")
            .arg(self.run.join("conf"))
            .arg("-d")
            .env("MAIL_CONFIG", self.run.join("conf"))
            .env("LD_PRELOAD", wrapper)
            .env("NSS_WRAPPER_PASSWD", self.run.join("nss.passwd"))
            .env("NSS_WRAPPER_GROUP", self.run.join("nss.group"))
            .env("KRB5_CONFIG", self.run.join(KRB5_CONF))
            .env("KRB5_KTNAME", self.run.join(KEYTAB))
            .current_dir(self.run)
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(output)
            .stderr(errors)
            .spawn()
            .expect("master to run")
    }

    /// A program of the packages, with the packages' libraries.
    pub(super) fn command(&self, program: &str) -> Command {
        let folders = self.packages.library_folders().into_iter();
        let plugins = std::env::join_paths(folders.map(|folder| folder.join("sasl2")))
            .expect("folders without a colon");
        let mut command = self.packages.command(program, &["usr/lib/postfix"]);
        command.env("SASL_PATH", plugins);
        command
    }

    fn make_folder(&self, name: &str, group: u32, mode: u32) {
        peer::make_folder(&self.run.join(name), POSTFIX_ID, group, mode);
    }

    fn write(&self, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
        let path = self.run.join(name);
        peer::write(&path, text);
        // Postfix waits until its configuration has not changed for a second, and takes a file
        // from the epoch itself for a missing one.
        let long_ago = SystemTime::UNIX_EPOCH + Duration::from_secs(86_400);
        fs::File::options()
            .write(true)
            .open(&path)
            .and_then(|file| file.set_modified(long_ago))
            .expect("to set a file's time");
        path
    }
}

/// Where the link to the packages is.
fn link(run: &Path) -> PathBuf {
    run.join("packages")
}
