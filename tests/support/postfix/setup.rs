//! What the packages' own scripts would set up, in a folder instead of the system.

use std::fs::{self, Permissions};
use std::io::Write as _;
use std::net::SocketAddr;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown, symlink};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, SystemTime};

use super::super::certificates::TestAuthority;
use super::{HOST_NAME, PASSWORD, PostfixOptions, USER};

/// Says where the unpacked packages are, or `none`.
pub(super) const PEERS_VARIABLE: &str = "SENDPORT_TEST_PEERS";
/// Users that only the wrapped name service knows; master wants them for itself alone.
const POSTFIX_ID: u32 = 21_026;
const POSTDROP_ID: u32 = 21_029;

/// The folder that `tests/peers/install.sh` made, or a panic that says what to do.
pub(super) fn unpacked_packages() -> PathBuf {
    let peers = std::env::var_os(PEERS_VARIABLE).map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("target/peers"),
        PathBuf::from,
    );
    let root = peers.join("postfix");
    assert!(
        root.join("usr/lib/postfix/sbin/master").exists(),
        "no Postfix in {}: run `tests/peers/install.sh target/peers`, or set {PEERS_VARIABLE}=none to do without",
        peers.display(),
    );
    let process = fs::metadata("/proc/self").expect("this process in /proc");
    assert!(
        process.uid() == 0,
        "Postfix's master runs as root only: run the tests as root, or set {PEERS_VARIABLE}=none to do without",
    );
    // Postfix runs in another folder than this process.
    root.canonicalize().expect("the folder of the packages")
}

/// The folder of one instance, being filled.
pub(super) struct Setup<'a> {
    root: PathBuf,
    run: &'a Path,
}

impl<'a> Setup<'a> {
    pub(super) fn new(packages: &Path, run: &'a Path) -> Self {
        // LD_PRELOAD cannot name a folder with a space in it; the link can.
        let setup = Self::existing(run);
        symlink(packages, &setup.root).expect("a link to the packages");
        setup
    }

    /// The folder of an instance that was started before.
    pub(super) fn existing(run: &'a Path) -> Self {
        let root = run.join("packages");
        Self { root, run }
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
            text.replace("@ROOT@", &self.root.to_string_lossy())
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
        let with = |file: &str, extra: &str| {
            let text = fs::read_to_string(file).unwrap_or_else(|error| panic!("{file}: {error}"));
            format!("{}\n{extra}\n", text.trim_end())
        };
        let user = format!("postfix:x:{POSTFIX_ID}:{POSTFIX_ID}::/nonexistent:/usr/sbin/nologin");
        let groups = format!("postfix:x:{POSTFIX_ID}:\npostdrop:x:{POSTDROP_ID}:");
        self.write("nss.passwd", with("/etc/passwd", &user));
        self.write("nss.group", with("/etc/group", &groups));
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
        let wrapper = self.library("libnss_wrapper.so");
        self.command("usr/lib/postfix/sbin/master")
            .arg("-c")
            .arg(self.run.join("conf"))
            .arg("-d")
            .env("MAIL_CONFIG", self.run.join("conf"))
            .env("LD_PRELOAD", wrapper)
            .env("NSS_WRAPPER_PASSWD", self.run.join("nss.passwd"))
            .env("NSS_WRAPPER_GROUP", self.run.join("nss.group"))
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
        let libraries = self.library_folders();
        let folders = [vec![self.root.join("usr/lib/postfix")], libraries.clone()].concat();
        let path = std::env::join_paths(folders).expect("folders without a colon");
        let plugins = std::env::join_paths(libraries.iter().map(|folder| folder.join("sasl2")))
            .expect("folders without a colon");
        let mut command = Command::new(self.root.join(program));
        command
            .env_clear()
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .env("LD_LIBRARY_PATH", path)
            .env("SASL_PATH", plugins);
        command
    }

    fn library(&self, name: &str) -> PathBuf {
        let mut places = self
            .library_folders()
            .into_iter()
            .map(|folder| folder.join(name));
        places
            .find(|file| file.exists())
            .unwrap_or_else(|| panic!("no {name} below {}", self.root.display()))
    }

    /// Debian has one folder for each architecture: `usr/lib/x86_64-linux-gnu`.
    fn library_folders(&self) -> Vec<PathBuf> {
        ["usr/lib", "lib"]
            .iter()
            .filter_map(|parent| fs::read_dir(self.root.join(parent)).ok())
            .flat_map(|entries| entries.flatten().map(|entry| entry.path()))
            .filter(|path| path.to_string_lossy().contains("-linux-gnu"))
            .collect()
    }

    fn make_folder(&self, name: &str, group: u32, mode: u32) {
        let path = self.run.join(name);
        fs::create_dir_all(&path).expect("a folder");
        chown(&path, Some(POSTFIX_ID), Some(group)).expect("to give a folder away");
        fs::set_permissions(&path, Permissions::from_mode(mode)).expect("to set a folder's mode");
    }

    fn write(&self, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
        let path = self.run.join(name);
        let folder = path.parent().expect("a folder");
        fs::create_dir_all(folder).expect("a folder");
        fs::write(&path, text).expect("a file");
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
