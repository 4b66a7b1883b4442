//! A real Postfix on loopback, run out of a temporary folder from unpacked packages.

use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;
use tokio::io::AsyncReadExt;

use super::certificates::TestAuthority;

/// Ids that exist only for the wrapped look-ups of the unpacked programs.
const POSTFIX_UID: u32 = 21026;
const POSTDROP_GID: u32 = 21029;

pub(crate) const USER: &str = "alice";
pub(crate) const PASSWORD: &str = "Secret-1";

/// What differs from the usual.
#[derive(Default)]
pub(crate) struct PostfixOptions<'a> {
    pub(crate) extra_main_cf: &'a [(&'a str, &'a str)],
}

/// One message in one mailbox.
#[derive(Debug)]
pub(crate) struct DeliveredMessage {
    pub(crate) recipient: String,
    pub(crate) message_id: String,
    pub(crate) octets: Vec<u8>,
}

/// Takes mail for every mailbox of `example.test`, except those that begin with `nouser`
/// (550) or `defer` (450). Stopped with all its processes when dropped.
pub(crate) struct Postfix {
    master: Child,
    folder: TempDir,
    ports: [u16; 2],
}

impl Postfix {
    /// `None` where the tests are told not to use it; panics where it is missing.
    pub(crate) async fn start(options: PostfixOptions<'_>) -> Option<Self> {
        let peers = peers_folder()?;
        let folder = tempfile::tempdir().expect("a folder");
        let ports = free_ports();
        let run = folder.path();
        allow_others_in(run);
        write_accounts(run);
        write_certificates(run);
        write_configuration(&peers, run, ports, options.extra_main_cf);
        make_queue(run);
        make_password(&peers, run);
        let master = start_master(&peers, run);
        let mut postfix = Self {
            master,
            folder,
            ports,
        };
        postfix.wait_until_it_greets().await;
        Some(postfix)
    }

    /// Plain text, STARTTLS, AUTH PLAIN and LOGIN.
    pub(crate) fn plain_addr(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.ports[0]))
    }

    /// TLS from the first octet.
    pub(crate) fn implicit_tls_addr(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.ports[1]))
    }

    /// The authority of its certificate, which names 127.0.0.1 and mail.example.test.
    pub(crate) fn ca_file(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    /// Waits until `n` messages lie in mailboxes. The process gives no signal: this looks.
    pub(crate) async fn wait_delivered(&self, n: usize, at_most: Duration) {
        let looked = tokio::time::timeout(at_most, async {
            let mut tick = tokio::time::interval(Duration::from_millis(50));
            while self.files().len() < n {
                tick.tick().await;
            }
        });
        if looked.await.is_err() {
            let found = self.files().len();
            panic!(
                "expected {n} deliveries within {at_most:?}, found {found}\n{}",
                self.log()
            );
        }
    }

    pub(crate) fn messages(&self) -> Vec<DeliveredMessage> {
        let read = |path: &PathBuf| {
            let octets = fs::read(path).expect("a message");
            DeliveredMessage {
                recipient: header(&octets, "Delivered-To"),
                message_id: header(&octets, "Message-ID"),
                octets,
            }
        };
        self.files().iter().map(read).collect()
    }

    fn files(&self) -> Vec<PathBuf> {
        let new = self.folder.path().join("mail/all/new");
        let entries = fs::read_dir(new).into_iter().flatten().flatten();
        entries.map(|entry| entry.path()).collect()
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("mail.log")).unwrap_or_default()
    }

    async fn wait_until_it_greets(&mut self) {
        let greeted = tokio::time::timeout(Duration::from_secs(20), async {
            let mut tick = tokio::time::interval(Duration::from_millis(50));
            loop {
                tick.tick().await;
                if let Ok(mut tcp) = tokio::net::TcpStream::connect(self.plain_addr()).await
                    && matches!(tcp.read_u8().await, Ok(b'2'))
                {
                    return;
                }
            }
        });
        if greeted.await.is_err() {
            panic!("Postfix does not greet; its log:\n{}", self.log());
        }
    }
}

impl Drop for Postfix {
    fn drop(&mut self) {
        let group = format!("-{}", self.master.id());
        let kill = |signal: &str| Command::new("kill").args([signal, "--", &group]).status();
        // The master may be gone; the daemons are in its group and go with it.
        let _stopped = kill("-TERM");
        let _status = self.master.wait();
        let _rest = Command::new("kill")
            .args(["-KILL", "--", &group])
            .stderr(Stdio::null())
            .status();
    }
}

/// Says on one line why there is no Postfix.
#[expect(clippy::print_stderr, reason = "whoever runs the tests has to read it")]
fn peers_folder() -> Option<PathBuf> {
    let default = concat!(env!("CARGO_MANIFEST_DIR"), "/target/peers");
    let folder = std::env::var("SENDPORT_TEST_PEERS").unwrap_or_else(|_| default.to_owned());
    if folder == "none" {
        eprintln!("SENDPORT_TEST_PEERS=none: this test, which needs Postfix, does not run");
        return None;
    }
    let peers = fs::canonicalize(&folder).unwrap_or_else(|_| PathBuf::from(&folder));
    assert!(
        peers.join("postfix/usr/lib/postfix/sbin/master").exists(),
        "Postfix is not unpacked in {folder}: run tests/peers/install.sh {folder}, or set \
         SENDPORT_TEST_PEERS=none to go without"
    );
    let is_root = fs::metadata("/proc/self").is_ok_and(|own| {
        use std::os::unix::fs::MetadataExt;
        own.uid() == 0
    });
    assert!(
        is_root,
        "Postfix's master runs as root only: run the tests as root, or set \
         SENDPORT_TEST_PEERS=none to go without"
    );
    Some(peers)
}

fn free_ports() -> [u16; 2] {
    // Held together, so that they differ.
    let held = [0; 2].map(|_| TcpListener::bind("127.0.0.1:0").expect("a free port"));
    held.map(|listener| listener.local_addr().expect("an address").port())
}

fn allow_others_in(folder: &Path) {
    fs::set_permissions(folder, fs::Permissions::from_mode(0o755)).expect("permissions");
}

fn write_accounts(run: &Path) {
    let append = |system: &str, name: &str, more: String| {
        let known = fs::read_to_string(system).unwrap_or_default();
        fs::write(run.join(name), known + &more).expect("accounts");
    };
    let uid = POSTFIX_UID;
    let user = format!("postfix:x:{uid}:{uid}::/nonexistent:/usr/sbin/nologin\n");
    append("/etc/passwd", "nss.passwd", user);
    let groups = format!("postfix:x:{uid}:\npostdrop:x:{POSTDROP_GID}:\n");
    append("/etc/group", "nss.group", groups);
}

fn write_certificates(run: &Path) {
    let authority = TestAuthority::new();
    let server = authority.issue(&["mail.example.test", "127.0.0.1"]);
    fs::write(run.join("ca.pem"), authority.pem()).expect("ca.pem");
    fs::write(run.join("cert.pem"), server.certificate_pem()).expect("cert.pem");
    fs::write(run.join("key.pem"), server.key_pem()).expect("key.pem");
}

fn write_configuration(peers: &Path, run: &Path, ports: [u16; 2], extra: &[(&str, &str)]) {
    fs::create_dir_all(run.join("conf/sasl")).expect("folder");
    let fill = |text: &str| {
        text.replace("$PEERS", &peers.display().to_string())
            .replace("$RUN", &run.display().to_string())
            .replace("$PLAIN", &ports[0].to_string())
            .replace("$IMPLICIT", &ports[1].to_string())
    };
    let mut main = fill(include_str!("postfix/main.cf"));
    for (key, value) in extra {
        writeln!(main, "{key} = {value}").expect("text");
    }
    let write = |name: &str, text: &str| fs::write(run.join("conf").join(name), text).expect(name);
    write("main.cf", &main);
    write("master.cf", &fill(include_str!("postfix/master.cf")));
    write("sasl/smtpd.conf", &fill(include_str!("postfix/sasl.conf")));
    write("recipients", include_str!("postfix/recipients"));
}

/// What the package's installation would make.
fn make_queue(run: &Path) {
    let own = |name: &str, mode: u32, gid: u32| {
        let path = run.join(name);
        fs::create_dir_all(&path).expect(name);
        chown(&path, Some(POSTFIX_UID), Some(gid)).expect(name);
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect(name);
    };
    for name in ["data", "mail"] {
        own(name, 0o755, POSTFIX_UID);
    }
    fs::create_dir_all(run.join("queue/pid")).expect("queue");
    for name in [
        "active", "bounce", "corrupt", "defer", "deferred", "flush", "hold", "incoming", "private",
        "saved", "trace",
    ] {
        own(&format!("queue/{name}"), 0o700, POSTFIX_UID);
    }
    own("queue/maildrop", 0o730, POSTDROP_GID);
    own("queue/public", 0o710, POSTDROP_GID);
}

fn make_password(peers: &Path, run: &Path) {
    let database = run.join("sasldb2");
    let mut child = Command::new(peers.join("sasl/usr/sbin/saslpasswd2"))
        .args(["-p", "-c", "-u", "mail.example.test", "-f"])
        .arg(&database)
        .arg(USER)
        .stdin(Stdio::piped())
        .spawn()
        .expect("saslpasswd2");
    let mut input = child.stdin.take().expect("its input");
    input.write_all(PASSWORD.as_bytes()).expect("its input");
    drop(input);
    assert!(child.wait().expect("saslpasswd2").success());
    chown(&database, Some(POSTFIX_UID), Some(POSTFIX_UID)).expect("sasldb2");
}

fn start_master(peers: &Path, run: &Path) -> Child {
    let postfix = peers.join("postfix/usr/lib/postfix");
    let output = fs::File::create(run.join("master.out")).expect("master.out");
    let libraries = peers.join("wrap/usr/lib/x86_64-linux-gnu/libnss_wrapper.so");
    Command::new(postfix.join("sbin/master"))
        .arg("-c")
        .arg(run.join("conf"))
        .arg("-d")
        .env("LD_LIBRARY_PATH", &postfix)
        .env("LD_PRELOAD", libraries)
        .env("NSS_WRAPPER_PASSWD", run.join("nss.passwd"))
        .env("NSS_WRAPPER_GROUP", run.join("nss.group"))
        .env(
            "SASL_PATH",
            peers.join("sasl/usr/lib/x86_64-linux-gnu/sasl2"),
        )
        .stdin(Stdio::null())
        .stdout(output.try_clone().expect("master.out"))
        .stderr(output)
        .process_group(0)
        .spawn()
        .expect("Postfix's master")
}

fn header(octets: &[u8], name: &str) -> String {
    let text = String::from_utf8_lossy(octets);
    let lines = text.lines().take_while(|line| !line.is_empty());
    let mut found = lines.filter_map(|line| line.split_once(": "));
    found
        .find(|(key, _)| key.eq_ignore_ascii_case(name))
        .map(|(_, value)| value.to_owned())
        .unwrap_or_default()
}
