//! How much memory the service takes: at most four times its largest message and 50 MiB.

use crate::inserted::pseudo_random;
use crate::not_run::not_run;
use crate::site::Site;
use crate::support::postfix::Postfix;

const MIB: u64 = 1024 * 1024;

/// What the program's own file takes of it in a release build. That of a debug build is twice as
/// large, and says nothing of what users have.
const RELEASE_PROGRAM: u64 = 20 * MIB;

/// What a run took at its worst.
pub(crate) struct Peak {
    /// None where the system does not say.
    resident: Option<u64>,
    largest_message: u64,
}

impl Peak {
    /// Of the service that runs on a site and has sent everything.
    pub(crate) fn of_service(site: &Site) -> Self {
        let process = site.value("SELECT ProcessId FROM Instance WHERE StoppedAt IS NULL");
        let status = std::fs::read_to_string(format!("/proc/{process}/status"));
        let worst = status.ok().and_then(|status| {
            let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
            kibibytes(line)
        });
        let resident = worst.map(|worst| match cfg!(debug_assertions) {
            true => worst - program(&process) + RELEASE_PROGRAM,
            false => worst,
        });
        let largest = site.value("SELECT max(SizeBytes) FROM Attempt");
        Self {
            resident,
            largest_message: largest.parse().expect("a size"),
        }
    }

    #[expect(clippy::print_stdout, reason = "the test is run for the figure")]
    pub(crate) fn assert_within_bound(&self, what: &str) {
        let Some(resident) = self.resident else {
            not_run("the memory of the service: this system has no /proc");
            return;
        };
        let bound = 4 * self.largest_message + 50 * MIB;
        let [peak, largest, limit] =
            [resident, self.largest_message, bound].map(|bytes| bytes as f64 / MIB as f64);
        println!(
            "{what}: at most {peak:.0} MiB; largest message {largest:.1} MiB, bound {limit:.0} MiB"
        );
        assert!(
            resident <= bound,
            "{what}: {resident} octets, more than {bound}"
        );
    }
}

/// Bytes of a line such as `Rss: 12 kB`.
fn kibibytes(line: &str) -> Option<u64> {
    let number = line.split_whitespace().nth(1)?.parse::<u64>().ok()?;
    Some(number * 1024)
}

/// How much of a process is its program's own file.
fn program(process: &str) -> u64 {
    let file = std::fs::read_link(format!("/proc/{process}/exe")).expect("its program");
    let file = file.display().to_string();
    let maps = std::fs::read_to_string(format!("/proc/{process}/smaps")).expect("its memory");
    let (mut own, mut bytes) = (false, 0);
    for line in maps.lines() {
        // A mapping begins with its addresses and ends with its file.
        if line.starts_with(|c: char| c.is_ascii_digit() || ('a'..='f').contains(&c)) {
            own = line.ends_with(&file);
        } else if own && line.starts_with("Rss:") {
            bytes += kibibytes(line).expect("a number");
        }
    }
    bytes
}

/// Alerts with one attachment each, all due at once.
fn insert(site: &Site, count: u32, bytes: usize) {
    let mut database = site.database();
    let transaction = database.transaction().expect("begin");
    let content = pseudo_random(bytes);
    for n in 0..count {
        let alert = "INSERT INTO Alert (ToRecipients, Subject) VALUES ('ops@example.test', ?1)";
        transaction.execute(alert, [n]).expect("insert");
        let id = transaction.last_insert_rowid();
        let attachment =
            "INSERT INTO Attachment (AlertId, FileName, Content) VALUES (?1, 'dump.bin', ?2)";
        transaction
            .execute(attachment, rusqlite::params![id, content])
            .expect("attach");
    }
    transaction.commit().expect("commit");
}

/// Alerts with long texts, all due at once.
fn insert_texts(site: &Site, count: u32, bytes: usize) {
    let line = "An order is late, and this is one of many lines that say so.\r\n";
    let body = line.repeat(bytes / line.len());
    let sql = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?1)
               INSERT INTO Alert (ToRecipients, Subject, Body) SELECT 'ops@example.test', i, ?2 FROM n";
    let inserted = site.database().execute(sql, (count, &body));
    assert_eq!(inserted.expect("insert"), count as usize);
}

async fn stays_within_the_bound(insert: impl Fn(&Site, u32, usize), count: u32, bytes: usize) {
    if !Postfix::available() {
        return;
    }
    let postfix = crate::large_postfix().await;
    let site = Site::new(&crate::send_port_over_postfix(&postfix));
    insert(&site, count, bytes);
    let peak = crate::send_all(&site).await;
    peak.assert_within_bound(&format!("{count} alerts with {bytes} octets each"));
    postfix
        .wait_for_messages(count as usize, crate::WITHIN)
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_of_25_mib() {
    stays_within_the_bound(insert, 1, 25 * 1024 * 1024).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn eight_of_25_mib_at_once() {
    stays_within_the_bound(insert, 8, 25 * 1024 * 1024).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sixty_of_2_mib_at_once() {
    stays_within_the_bound(insert, 60, 2 * 1024 * 1024).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_of_1_mib_at_once() {
    stays_within_the_bound(insert, 100, 1024 * 1024).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn eighty_texts_of_2_mib_at_once() {
    stays_within_the_bound(insert_texts, 80, 2 * 1024 * 1024).await;
}
