//! What the real servers of the tests have in common: packages that `tests/peers/install.sh`
//! unpacked, a folder and ports of their own, and an end when the test ends.

use std::fs::{self, File, Permissions};
use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown, symlink};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;
use tokio::time::{Instant, interval, timeout};

use crate::not_run::not_run;

/// Says where the unpacked packages are, or `none`.
pub(crate) const PEERS_VARIABLE: &str = "SENDPORT_TEST_PEERS";

const START_WITHIN: Duration = Duration::from_secs(60);
const GREETING_WITHIN: Duration = Duration::from_secs(20);
const POLL_EVERY: Duration = Duration::from_millis(25);

/// False, and says so on one line, where `SENDPORT_TEST_PEERS=none` says to do without.
/// Everywhere else a missing server is a failure.
pub(crate) fn available(what: &str) -> bool {
    let available = std::env::var_os(PEERS_VARIABLE).is_none_or(|value| value != "none");
    if !available {
        not_run(&format!("a test that needs {what} ({PEERS_VARIABLE}=none)"));
    }
    available
}

/// The folder `name` of what `tests/peers/install.sh` made, or a panic that says what to do.
/// `program` is a file that has to be in it.
pub(crate) fn unpacked(name: &str, program: &str) -> PathBuf {
    let peers = std::env::var_os(PEERS_VARIABLE).map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("target/peers"),
        PathBuf::from,
    );
    let root = peers.join(name);
    assert!(
        root.join(program).exists(),
        "no {name} in {}: run `tests/peers/install.sh target/peers`, or set {PEERS_VARIABLE}=none to do without",
        peers.display(),
    );
    // Servers run in another folder than this process.
    root.canonicalize().expect("the folder of the packages")
}

/// A panic that says what to do, where this process may not become other users.
pub(crate) fn need_root(who: &str) {
    let process = fs::metadata("/proc/self").expect("this process in /proc");
    assert!(
        process.uid() == 0,
        "{who} runs as root only: run the tests as root, or set {PEERS_VARIABLE}=none to do without",
    );
}

/// Unpacked packages, reached by a link without spaces: `LD_PRELOAD` cannot name a folder with one.
pub(crate) struct Packages {
    root: PathBuf,
}

impl Packages {
    pub(crate) fn link(name: &str, program: &str, link: PathBuf) -> Self {
        symlink(unpacked(name, program), &link).expect("a link to the packages");
        Self { root: link }
    }

    /// A copy, for a server that starts its own program again as another user, which has no access
    /// to a home.
    pub(crate) fn copy(name: &str, program: &str, to: PathBuf) -> Self {
        let copied = Command::new("cp")
            .arg("-R")
            .arg(unpacked(name, program))
            .arg(&to)
            .status();
        assert!(copied.expect("cp to run").success(), "packages of {name}");
        Self { root: to }
    }

    pub(crate) fn existing(link: PathBuf) -> Self {
        Self { root: link }
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// A program of the packages, with nothing in its environment but where the libraries are:
    /// in the packages, and in `extra` folders of theirs.
    pub(crate) fn command(&self, program: &str, extra: &[&str]) -> Command {
        let mut command = Command::new(self.root.join(program));
        command
            .env_clear()
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .env("LD_LIBRARY_PATH", self.library_path(extra));
        command
    }

    /// What `LD_LIBRARY_PATH` has to say.
    pub(crate) fn library_path(&self, extra: &[&str]) -> String {
        let extra = extra.iter().map(|folder| self.root.join(folder));
        let folders: Vec<_> = extra.chain(self.library_folders()).collect();
        let path = std::env::join_paths(folders).expect("folders without a colon");
        path.into_string().expect("folders in UTF-8")
    }

    pub(crate) fn library(&self, name: &str) -> PathBuf {
        let mut places = self
            .library_folders()
            .into_iter()
            .map(|folder| folder.join(name));
        places
            .find(|file| file.exists())
            .unwrap_or_else(|| panic!("no {name} below {}", self.root.display()))
    }

    /// Debian has one folder for each architecture: `usr/lib/x86_64-linux-gnu`.
    pub(crate) fn library_folders(&self) -> Vec<PathBuf> {
        ["usr/lib", "lib"]
            .iter()
            .filter_map(|parent| fs::read_dir(self.root.join(parent)).ok())
            .flat_map(|entries| entries.flatten().map(|entry| entry.path()))
            .filter(|path| path.to_string_lossy().contains("-linux-gnu"))
            .collect()
    }
}

/// What a service needs to take tickets.
pub(crate) struct KerberosService {
    /// `krb5.conf`.
    pub(crate) configuration: PathBuf,
    /// The keys of the service.
    pub(crate) keytab: PathBuf,
}

/// The folder of one server. Others than root can enter it.
pub(crate) fn folder(server: &str) -> TempDir {
    tempfile::Builder::new()
        .prefix(&format!("sendport-{server}-"))
        .permissions(Permissions::from_mode(0o755))
        .tempdir()
        .expect("a temporary folder")
}

/// Writes a file, and its folder where it has none.
pub(crate) fn write(path: &Path, text: impl AsRef<[u8]>) {
    let folder = path.parent().expect("a folder");
    fs::create_dir_all(folder).expect("a folder");
    fs::write(path, text).expect("a file");
}

/// Makes a folder that belongs to a user and a group.
pub(crate) fn make_folder(path: &Path, user: u32, group: u32, mode: u32) {
    fs::create_dir_all(path).expect("a folder");
    chown(path, Some(user), Some(group)).expect("to give a folder away");
    fs::set_permissions(path, Permissions::from_mode(mode)).expect("to set a folder's mode");
}

/// A copy of a system file such as `/etc/passwd` with more lines.
pub(crate) fn with_lines(file: &str, extra: &str) -> String {
    let text = fs::read_to_string(file).unwrap_or_else(|error| panic!("{file}: {error}"));
    format!("{}\n{extra}\n", text.trim_end())
}

/// Ports without a listener.
pub(crate) fn free_ports<const N: usize>() -> [SocketAddr; N] {
    let bind = |_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    // All are held before any is released, so they differ.
    [(); N]
        .map(bind)
        .map(|listener| listener.local_addr().expect("the address of a listener"))
}

/// Kills a group of processes and removes a folder as soon as its standard input ends: when it is
/// dropped, and also when the test process dies without dropping anything.
pub(crate) struct ProcessGuard(Child);

impl ProcessGuard {
    pub(crate) fn new(folder: &Path) -> Self {
        const SCRIPT: &str = r#"
            end() { [ -z "$group" ] || kill -s KILL -- "-$group"; }
            group=
            while read -r next; do end; group=$next; done
            end
            rm -rf -- "$1"
        "#;
        let child = Command::new("/bin/sh")
            .args(["-c", SCRIPT, "sh"])
            .arg(folder)
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        Self(child.expect("a shell to run"))
    }

    /// Makes it kill the group that it watched before, if any, and watch `group`.
    pub(crate) fn watch(&self, group: &str) {
        let mut input = self.0.stdin.as_ref().expect("the guard's input");
        writeln!(input, "{group}").expect("the guard to listen");
    }
}

impl Drop for ProcessGuard {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        // Dropping reports nothing: what is left over is in the temporary folder.
        let _ = self.0.wait();
    }
}

/// A running server, in a process group of its own, whose folder goes when it goes.
pub(crate) struct Server {
    name: &'static str,
    process: Child,
    // Dropped in this order: the guard kills and removes, then there is nothing left to remove.
    guard: Option<ProcessGuard>,
    folder: TempDir,
}

impl Server {
    /// Starts `command` in `folder`; what it prints goes into the file `output` there.
    pub(crate) fn spawn(name: &'static str, folder: TempDir, mut command: Command) -> Self {
        let output = File::create(folder.path().join("output")).expect("a file");
        let errors = output.try_clone().expect("the file again");
        let process = command
            .current_dir(folder.path())
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(output)
            .stderr(errors)
            .spawn()
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        let guard = ProcessGuard::new(folder.path());
        guard.watch(&process.id().to_string());
        Self {
            name,
            process,
            guard: Some(guard),
            folder,
        }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Waits until something is so. An error says how the server ended instead.
    ///
    /// # Panics
    /// With the server's log, when that takes too long.
    pub(crate) async fn comes_up(&mut self, is_up: impl AsyncFn() -> bool) -> Result<(), String> {
        let deadline = Instant::now() + START_WITHIN;
        let mut ticks = interval(POLL_EVERY);
        while Instant::now() < deadline {
            ticks.tick().await;
            let up = is_up().await;
            // Checked last: if the server has ended, another program answers.
            if let Some(status) = self.process.try_wait().expect("the state of a process") {
                return Err(format!("{}: {status}\n{}", self.name, self.log_tail()));
            }
            if up {
                return Ok(());
            }
        }
        panic!("{} does not come up:\n{}", self.name, self.log_tail());
    }

    /// What it printed and logged.
    pub(crate) fn log(&self) -> String {
        ["output", "log", "log/mainlog", "log/paniclog"]
            .map(|name| fs::read(self.path(name)).unwrap_or_default())
            .map(|text| String::from_utf8_lossy(&text).into_owned())
            .concat()
    }

    pub(crate) fn log_tail(&self) -> String {
        let log = self.log();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(40)..].join("\n")
    }
}

impl Drop for Server {
    #[expect(clippy::print_stderr, reason = "a failing test shows the other side")]
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("The end of {}'s log:\n{}", self.name, self.log_tail());
        }
        drop(self.guard.take());
        let _ = self.process.wait();
    }
}

/// Starts until it stays up: between the choice of a port and the bind, another program may
/// take the port, so a server that ends at its start is started again.
///
/// # Panics
/// When it ends for the third time.
pub(crate) async fn started<T>(start: impl AsyncFn() -> Result<T, String>) -> T {
    let mut failures = Vec::new();
    while failures.len() < 3 {
        match start().await {
            Ok(server) => return server,
            Err(failure) => failures.push(failure),
        }
    }
    panic!("ended at its start, three times: {}", failures.join("\n"));
}

/// Whether an SMTP server greets there.
pub(crate) async fn greets(address: SocketAddr) -> bool {
    let greeting = async {
        let mut stream = TcpStream::connect(address).await.ok()?;
        let mut start = [0; 4];
        stream.read_exact(&mut start).await.ok()?;
        Some(start == *b"220 ")
    };
    timeout(GREETING_WITHIN, greeting).await == Ok(Some(true))
}

/// Whether a server listens there.
pub(crate) async fn listens(address: SocketAddr) -> bool {
    TcpStream::connect(address).await.is_ok()
}
