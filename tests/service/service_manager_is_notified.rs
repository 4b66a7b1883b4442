use std::net::TcpListener;
use std::os::unix::net::UnixDatagram;
use std::time::{Duration, Instant};

use crate::site::Site;
use crate::{insert_many, plain_relay, send_port_over};

const DISCARD: &str = "[relay.main]\nkind = \"discard\"\n";
const WITHIN: Duration = Duration::from_secs(60);

/// The end of the socket that systemd has.
struct Listener {
    socket: UnixDatagram,
    address: String,
    notified: Vec<String>,
}

impl Listener {
    fn at(site: &Site) -> Self {
        let path = site.path("notify");
        let socket = UnixDatagram::bind(&path).expect("bind");
        socket.set_read_timeout(Some(WITHIN)).expect("a time-out");
        let address = path.display().to_string();
        Self {
            socket,
            address,
            notified: Vec::new(),
        }
    }

    /// Waits for an assignment, and returns its value.
    #[track_caller]
    fn wait_for(&mut self, name: &str) -> String {
        let deadline = Instant::now() + WITHIN;
        let mut datagram = [0; 4096];
        while Instant::now() < deadline {
            let length = self.socket.recv(&mut datagram).unwrap_or_default();
            let text = String::from_utf8_lossy(&datagram[..length]).into_owned();
            let lines: Vec<_> = text.lines().map(str::to_owned).collect();
            let value = lines
                .iter()
                .find_map(|l| l.strip_prefix(name)?.strip_prefix('='));
            let value = value.map(str::to_owned);
            self.notified.extend(lines);
            if let Some(value) = value {
                return value;
            }
        }
        panic!("{name} received nothing, only {:?}", self.notified);
    }

    fn received(&self, assignment: &str) -> bool {
        self.notified.iter().any(|line| line == assignment)
    }
}

#[test]
fn started_alive_and_stopping() {
    let site = Site::new(&send_port_over(DISCARD));
    let mut manager = Listener::at(&site);
    let watchdog = [
        ("NOTIFY_SOCKET", manager.address.as_str()),
        ("WATCHDOG_USEC", "4000000"),
    ];
    let service = site.run_under(&watchdog, &[]);
    assert_eq!(manager.wait_for("READY"), "1");
    let registered = "SELECT count(*) FROM Instance WHERE StoppedAt IS NULL";
    assert_eq!(site.value(registered), "1", "ready once it has registered");
    assert!(manager.received("STATUS=ready"), "{:?}", manager.notified);
    let mut since = Instant::now();
    for _ in 0..3 {
        assert_eq!(manager.wait_for("WATCHDOG"), "1");
        assert!(
            since.elapsed() < Duration::from_secs(4),
            "systemd would kill it"
        );
        since = Instant::now();
    }
    assert!(!manager.received("STOPPING=1"));
    service.terminate();
    assert_eq!(manager.wait_for("STOPPING"), "1");
    assert_eq!(service.wait(), Some(0));
}

/// The database is away at the start, and later: the service has not started yet, and says why.
#[test]
fn not_started_while_it_waits_for_the_database() {
    let site = Site::new(&send_port_over(DISCARD));
    let database = site.database();
    let lock = "PRAGMA journal_mode = DELETE; BEGIN EXCLUSIVE";
    database.execute_batch(lock).expect("lock");
    let mut manager = Listener::at(&site);
    let service = site.run_under(&[("NOTIFY_SOCKET", &manager.address)], &[]);
    while !manager
        .wait_for("STATUS")
        .contains("it waits for the database")
    {}
    assert!(!manager.received("READY=1"));
    database.execute_batch("ROLLBACK").expect("let go");
    assert_eq!(manager.wait_for("READY"), "1");
    assert!(!manager.received("WATCHDOG=1"), "no watchdog is configured");
    assert_eq!(service.stop(), Some(0));
}

/// A stop that a silent relay makes last is announced at once, with the time that it may take.
#[test]
fn a_stop_says_how_long_it_may_take() {
    let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
    let relay = plain_relay(silent.local_addr().expect("its address"));
    let site = Site::with_service("drain_timeout = \"2s\"", &send_port_over(&relay));
    insert_many(&site, 1);
    let mut manager = Listener::at(&site);
    let service = site.run_under(&[("NOTIFY_SOCKET", &manager.address)], &[]);
    manager.wait_for("READY");
    let _open = silent.accept().expect("the relay is asked");
    service.terminate();
    let microseconds: u64 = manager
        .wait_for("EXTEND_TIMEOUT_USEC")
        .parse()
        .expect("a number");
    assert!(manager.received("STOPPING=1"));
    assert_eq!(manager.wait_for("STATUS"), "the service stops");
    let began = Instant::now();
    assert_eq!(service.wait(), Some(0));
    let took = began.elapsed();
    assert!(took < Duration::from_micros(microseconds), "{took:?}");
}

/// A service that ends by itself notifies that, too: the manager waits for no time-out.
#[test]
fn a_failed_start_is_notified() {
    let site = Site::new(&send_port_over(DISCARD));
    site.database()
        .execute("UPDATE Environment SET Name = 'another'", [])
        .expect("another environment");
    let mut manager = Listener::at(&site);
    let service = site.run_under(&[("NOTIFY_SOCKET", &manager.address)], &[]);
    assert_eq!(manager.wait_for("STOPPING"), "1");
    assert!(!manager.received("READY=1"));
    assert_eq!(service.wait(), Some(4));
}
