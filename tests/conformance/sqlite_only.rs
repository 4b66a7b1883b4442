//! What only SQLite has to prove: its file, its clock, its neighbours on the same machine.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::TimeDelta;
use libtest_mimic::Trial;
use parking_lot::Mutex;
use rusqlite::Connection;
use sendport_core::clock::{Clock, SystemClock};
use sendport_core::domain::{AlertStatus, InstanceId, InstanceInfo, OperatorVerb, Timestamp};
use sendport_store::digest::FailureDigestStore;
use sendport_store::sqlite::SqliteStore;
use sendport_store::{
    AlertStore, Among, LoadResult, NewAlert, OperatorQueries, Store, StoreAdmin, StoreErrorKind,
    SweepResult,
};

use crate::fixture::*;
use crate::harness::trial;
use crate::sqlite::SqliteFixture;

fn open(path: &Path) -> SqliteStore {
    SqliteStore::open(path, Arc::new(SystemClock)).expect("open")
}

/// Longer than any test should take; nothing waits for its end unless the test fails.
const FOREVER: Duration = Duration::from_secs(120);

async fn reading_creates_no_file() {
    let f = SqliteFixture::new();
    let store = open(&f.path());
    // Not that it has no schema: what holds the file may not be mounted.
    let asked = store.schema_state().await.expect_err("no file");
    let read = store.environment().await.expect_err("no file");
    for error in [asked, read] {
        assert_eq!(error.kind(), StoreErrorKind::Unavailable);
        assert!(
            error.to_string().contains("there is no database file"),
            "{error}"
        );
    }
    assert!(!f.path().exists());
    assert!(store.create_database().await.expect("create"));
    assert!(!store.create_database().await.expect("create"));
}

/// What a state folder holds belongs to the database, however a configuration names its file.
async fn two_names_of_one_file_are_one_database() {
    let f = SqliteFixture::new();
    let path = f.path();
    let (folder, file) = (
        path.parent().expect("a folder"),
        path.file_name().expect("a file"),
    );
    let around = folder
        .join("..")
        .join(folder.file_name().expect("a name"))
        .join(file);
    open(&path).create_database().await.expect("create");
    assert_ne!(open(&path).describe(), open(&around).describe());
    assert_eq!(open(&path).identity(), open(&around).identity());
    assert_ne!(
        open(&path).identity(),
        open(&folder.join("other.db")).identity()
    );
}

#[cfg(unix)]
async fn a_new_file_is_its_owners_alone() {
    use std::os::unix::fs::PermissionsExt;
    let f = SqliteFixture::new();
    // Its write-ahead log is there as long as it is open.
    let _open = f.fresh().await;
    for file in ["sendport.db", "sendport.db-wal"] {
        let metadata = std::fs::metadata(f.path().with_file_name(file)).expect(file);
        assert_eq!(metadata.permissions().mode() & 0o777, 0o600, "{file}");
    }
}

async fn a_folder_and_another_kind_of_file_are_refused_in_words() {
    let f = SqliteFixture::new();
    let folder = f.path().with_file_name("");
    let error = SqliteStore::open(&folder, Arc::new(SystemClock)).expect_err("a folder");
    assert!(error.to_string().contains("is a folder"), "{error}");
    std::fs::write(f.path(), "a letter to my mother, in many words".repeat(50)).expect("write");
    let error = open(&f.path()).migrate().await.expect_err("no database");
    assert_eq!(error.kind(), StoreErrorKind::Schema);
    assert!(
        error.to_string().contains("is not a SQLite database"),
        "{error}"
    );
}

async fn a_lock_that_does_not_end_is_unavailable() {
    let f = SqliteFixture::new();
    let store = f.fresh().await;
    let rude = Connection::open(f.path()).expect("open");
    rude.execute_batch("BEGIN IMMEDIATE").expect("lock");
    let error = store
        .insert(&NewAlert::default())
        .await
        .expect_err("locked");
    assert_eq!(error.kind(), StoreErrorKind::Unavailable, "{error}");
    assert!(error.is_transient());
    assert_eq!(
        store.alerts(None, 1).await.expect("reading goes on").len(),
        0
    );
    rude.execute_batch("COMMIT").expect("unlock");
    store.insert(&NewAlert::default()).await.expect("insert");
}

/// An idle service keeps no application from inserting.
async fn looking_for_work_takes_no_lock() {
    let f = SqliteFixture::new();
    let store = f.fresh().await;
    let a = instance(&store, "a").await;
    let application = Connection::open(f.path()).expect("open");
    application.execute_batch("BEGIN IMMEDIATE").expect("lock");
    assert_eq!(claim(&store, a, 10).await.1, []);
    application.execute_batch("COMMIT").expect("unlock");
}

/// Overwrites the page of the file that holds the mark.
fn damage(file: &Path, mark: &str) {
    const PAGE: usize = 4096;
    let checkpoint = Connection::open(file).expect("open");
    let whole = "PRAGMA wal_checkpoint(TRUNCATE)";
    checkpoint.query_row(whole, [], |_| Ok(())).expect(whole);
    drop(checkpoint);
    let mut bytes = std::fs::read(file).expect("read");
    let at = bytes
        .windows(mark.len())
        .position(|it| it == mark.as_bytes());
    let page = at.expect("the mark") / PAGE * PAGE;
    bytes[page..page + PAGE].fill(0xff);
    std::fs::write(file, bytes).expect("write");
}

/// Each row of `Alert` has a page of its own here.
async fn a_damaged_page_blocks_no_other_alert() {
    let f = SqliteFixture::new();
    let store = f.fresh().await;
    let mut ids = Vec::new();
    for n in 0..12 {
        let alert = NewAlert {
            to_recipients: Some("ops@contoso.com".to_owned()),
            body: Some(format!("mark {n}. {}", "x".repeat(3000))),
            expires_at: Some(now() - TimeDelta::minutes(5)),
            ..NewAlert::default()
        };
        ids.push(store.insert(&alert).await.expect("insert"));
    }
    drop(store);
    damage(&f.path(), "mark 5.");
    let store = open(&f.path());
    let swept = store.expire(100, Among::AllBut(&[])).await.expect("expire");
    let refused: Vec<_> = swept.refused.iter().map(|it| it.alert).collect();
    assert_eq!((swept.count, refused), (11, vec![ids[5]]));
    assert!(swept.refused[0].why.contains("malformed"), "{swept:?}");
    let again = store.expire(100, Among::AllBut(&ids[5..6])).await;
    assert_eq!(again.expect("expire"), SweepResult::default());
    drop(store);

    damage(&f.path(), "mark 3.");
    let store = open(&f.path());
    let hour = Duration::from_secs(3600);
    let unreported = store.unreported("default", hour, 100, &[]).await;
    let unreported = unreported.expect("unreported");
    assert_eq!((unreported.alerts, unreported.lines.len()), (10, 10));
    assert_eq!(unreported.refused[0].alert, ids[3]);
    let alerts: Vec<_> = unreported.lines.iter().map(|line| line.alert).collect();
    let reported = store
        .insert_digest(&alerts, &NewAlert::default())
        .await
        .expect("recorded");
    assert!(
        reported.digest.is_some() && reported.refused.is_empty(),
        "{reported:?}"
    );
}

async fn a_refused_value_names_its_constraint() {
    let f = SqliteFixture::new();
    let store = f.fresh().await;
    let alert = NewAlert {
        subject: Some("x".repeat(2000)),
        ..NewAlert::default()
    };
    let error = store.insert(&alert).await.expect_err("too long");
    assert!(
        error
            .to_string()
            .contains("CK_Alert_Subject_at_most_998_characters"),
        "{error}"
    );
}

/// As `sqlite3 old.db .dump | sqlite3 new.db` does it: tables, rows, and what hangs on them last.
fn restore(old: &Path, new: &Path) {
    let copy = Connection::open(new).expect("a new file");
    let attach = format!("ATTACH '{}' AS old", old.display());
    copy.execute_batch(&attach).expect("attach");
    let objects = |what: &str| {
        let of = format!(
            "SELECT sql, name FROM old.sqlite_schema WHERE {what} AND name NOT LIKE 'sqlite_%' AND sql IS NOT NULL \
             ORDER BY rowid"
        );
        let mut statement = copy.prepare(&of).expect("what there is");
        let read = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?));
        let found = statement.query_map([], read).expect("objects");
        found
            .collect::<Result<Vec<(String, String)>, _>>()
            .expect("objects")
    };
    for (create, table) in objects("type = 'table'") {
        copy.execute_batch(&create).expect("a table");
        let insert = format!("INSERT INTO main.{table} SELECT * FROM old.{table}");
        copy.execute_batch(&insert).expect(&insert);
    }
    for (create, _) in objects("type <> 'table'") {
        copy.execute_batch(&create).expect(&create);
    }
}

async fn a_history_is_dumped_and_restored() {
    let f = SqliteFixture::new();
    let store = f.fresh().await;
    crate::schema::history(&f, &store).await;
    let new = f.path().with_file_name("restored.db");
    restore(&f.path(), &new);
    let restored = open(&new);
    assert_eq!(
        restored.schema_state().await.expect("state"),
        store.schema_state().await.expect("state")
    );
    let lines = store.alerts(None, 100).await.expect("alerts");
    assert_eq!(lines.len(), 11);
    assert_eq!(restored.alerts(None, 100).await.expect("alerts"), lines);
}

async fn times_of_another_form_are_refused() {
    let f = SqliteFixture::new();
    f.fresh().await;
    for column in ["NotBefore", "ExpiresAt", "ReplyBy", "CreatedAt"] {
        for time in [
            "2026-01-31 12:00:00",
            "2026-01-31T12:00:00Z",
            "tomorrow",
            "",
        ] {
            let insert =
                format!("INSERT INTO Alert (ToRecipients, {column}) VALUES ('a@b', '{time}')");
            let refused = f.try_sql(&insert).await.expect_err(time);
            assert!(refused.contains(&format!("CK_Alert_{column}")), "{refused}");
        }
    }
}

async fn text_that_is_not_utf8_fails_its_row_alone() {
    let f = SqliteFixture::new();
    let store = f.fresh().await;
    (&f as &dyn Fixture)
        .sql("INSERT INTO Alert (ToRecipients, Body) VALUES ('a@b.example', CAST(x'ff' AS TEXT))")
        .await;
    let good = (&f as &dyn Fixture).alert_to("ops@contoso.com").await;
    let a = instance(&store, "a").await;
    let (_, ids) = claim(&store, a, 10).await;
    let loaded = format!("{:?}", store.load(&ids).await.expect("load"));
    assert!(loaded.contains("column Body is not UTF-8"), "{loaded}");
    assert_eq!(load(&store, good).await.id, good);
}

/// Does not move by itself.
struct TestClock(Mutex<Timestamp>);

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        *self.0.lock()
    }
}

async fn the_given_clock_decides_not_the_machines() {
    let f = SqliteFixture::new();
    let clock = Arc::new(TestClock(Mutex::new(now() + TimeDelta::days(1000))));
    let store = SqliteStore::open(&f.path(), Arc::clone(&clock) as _).expect("open");
    store.migrate().await.expect("migrate");
    let store: Arc<dyn Store> = Arc::new(store);
    let alert = NewAlert {
        not_before: Some(clock.now() + TimeDelta::seconds(1)),
        ..NewAlert::default()
    };
    let id = store.insert(&alert).await.expect("insert");
    assert_eq!(
        line(&store, id).await.created_at.timestamp(),
        clock.now().timestamp()
    );
    let a = instance(&store, "a").await;
    assert!(claim(&store, a, 10).await.1.is_empty());
    *clock.0.lock() += TimeDelta::seconds(1);
    assert_eq!(claim(&store, a, 10).await.1, [id]);
}

async fn an_insert_by_another_connection_wakes_at_once() {
    let f = SqliteFixture::new();
    let store = f.fresh().await;
    // What came before the first wait may end it.
    store.wait_for_insert(Duration::from_millis(50)).await;
    let waiting = tokio::spawn({
        let store = Arc::clone(&store);
        async move { store.wait_for_insert(FOREVER).await }
    });
    tokio::task::yield_now().await;
    let start = Instant::now();
    (&f as &dyn Fixture).alert_to("ops@contoso.com").await;
    waiting.await.expect("wait");
    assert!(start.elapsed() < FOREVER / 2, "{:?}", start.elapsed());
}

async fn an_insert_between_two_waits_is_noticed_at_once() {
    let f = SqliteFixture::new();
    let store = f.fresh().await;
    store.wait_for_insert(Duration::from_millis(50)).await;
    (&f as &dyn Fixture).alert_to("ops@contoso.com").await;
    tokio::time::timeout(FOREVER / 4, store.wait_for_insert(FOREVER))
        .await
        .expect("noticed");
    store.insert(&NewAlert::default()).await.expect("insert");
    tokio::time::timeout(FOREVER / 4, store.wait_for_insert(FOREVER))
        .await
        .expect("noticed");
}

async fn our_own_commits_do_not_wake_us() {
    let f = SqliteFixture::new();
    let store = f.fresh().await;
    store.wait_for_insert(Duration::from_millis(50)).await;
    let a = instance(&store, "a").await;
    store.renew(a, LEASE, &[], &[]).await.expect("renew");
    let start = Instant::now();
    store.wait_for_insert(Duration::from_millis(200)).await;
    assert!(
        start.elapsed() >= Duration::from_millis(200),
        "{:?}",
        start.elapsed()
    );
}

/// Another process under this program's name, which lives until its input ends.
#[cfg(unix)]
struct Neighbour {
    child: Child,
    _folder: tempfile::TempDir,
}

#[cfg(unix)]
impl Neighbour {
    fn start() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let program = std::env::current_exe().expect("this program");
        let twin = folder.path().join(program.file_name().expect("its name"));
        std::os::unix::fs::symlink("/bin/cat", &twin).expect("link");
        let child = Command::new(&twin)
            .stdin(Stdio::piped())
            .spawn()
            .expect("start");
        Self {
            child,
            _folder: folder,
        }
    }

    fn id(&self) -> u32 {
        self.child.id()
    }

    fn end(mut self) {
        drop(self.child.stdin.take());
        self.child.wait().expect("its end");
    }
}

#[cfg(target_os = "linux")]
async fn a_lease_is_not_taken_from_a_process_that_lives() {
    let f = SqliteFixture::new();
    let store = f.fresh().await;
    let neighbour = Neighbour::start();
    let here = |process_id| InstanceInfo {
        id: InstanceId::random(),
        host_name: "this-host".to_owned(),
        process_id,
        ..info("one of two")
    };
    let (owner, other) = (here(neighbour.id()), here(std::process::id()));
    store
        .register(&owner, LEASE, &[], &[])
        .await
        .expect("register");
    let id = (&f as &dyn Fixture).alert_to("ops@contoso.com").await;
    claim_one(&store, owner.id).await;
    f.advance(LEASE_AND_MORE).await;
    store
        .register(&other, LEASE, &[], &[])
        .await
        .expect("register");
    assert_eq!(take_over(&store, other.id, 10).await, 0);
    assert_eq!(status(&store, id).await, AlertStatus::Sending);
    neighbour.end();
    assert_eq!(take_over(&store, other.id, 10).await, 1);
}

async fn a_dropped_call_is_done_or_undone() {
    let f = SqliteFixture::new();
    let store = f.fresh().await;
    for _ in 0..50 {
        let alert = NewAlert::default();
        let call = store.insert(&alert);
        // Polled once, then dropped.
        let _ = tokio::time::timeout(Duration::ZERO, call).await;
    }
    // Comes after every job that was begun.
    store
        .insert(&NewAlert::default())
        .await
        .expect("the store still works");
    let alerts = (&f as &dyn Fixture).rows("Alert", "1 = 1").await;
    let states = (&f as &dyn Fixture).rows("AlertState", "1 = 1").await;
    assert_eq!(alerts, states);
}

/// The CHECK knows the form of a time, not the calendar.
async fn a_time_that_is_none_hides_no_other_row_from_the_listings() {
    let f = SqliteFixture::new();
    let store = f.fresh().await;
    let f: &dyn Fixture = &f;
    for column in ["NotBefore", "CreatedAt"] {
        let insert = format!(
            "PRAGMA ignore_check_constraints = ON; INSERT INTO Alert (ToRecipients, Subject, SendPort, {column}) \
             VALUES ('ops@contoso.com', 's', '{column}', '2026-13-01T12:00:00.000Z')"
        );
        f.sql(&insert).await;
    }
    f.many(1).await;
    assert_eq!(store.queue().await.expect("queue").len(), 3);
    let alerts = store.alerts(None, 10).await.expect("alerts");
    assert_eq!(alerts.len(), 3);
    assert_eq!(alerts[2].next_attempt_at, None, "{:?}", alerts[2]);
}

/// Every command reads the newest requests: one that cannot be read would stop them all.
async fn a_request_has_no_day_that_is_in_no_calendar() {
    let f = SqliteFixture::new();
    f.fresh().await;
    let f: &dyn Fixture = &f;
    let until = "2026-01-01T00:00:00.000Z";
    let bad = [
        "2026-06-31T00:00:00.000Z",
        "2026-13-01T00:00:00.000Z",
        "2026-01-31T24:00:00.000Z",
    ];
    for time in bad {
        for (column, columns, values) in [
            (
                "RequestedAt",
                "RequestedAt, CreatedUntil",
                format!("'{time}', '{until}'"),
            ),
            (
                "CreatedFrom",
                "CreatedFrom, CreatedUntil",
                format!("'{time}', '{until}'"),
            ),
            ("CreatedUntil", "CreatedUntil", format!("'{time}'")),
        ] {
            let insert = format!(
                "INSERT INTO OperatorRequest (Verb, AlertName, {columns}) VALUES ('cancel', 'none', {values})"
            );
            let error = f.try_sql(&insert).await.expect_err(time);
            let constraint = format!("CK_OperatorRequest_{column}_like");
            assert!(error.contains(&constraint), "{error}");
        }
    }
    let leap = "INSERT INTO OperatorRequest (Verb, AlertName, CreatedUntil) VALUES ('cancel', 'none', '2028-02-29T23:59:59.999Z')";
    f.try_sql(leap).await.expect("a day of the calendar");
}

/// Such an alert would fail as one that cannot be read, and such a certificate would keep its recipient without one.
async fn no_time_that_people_write_is_in_no_calendar() {
    let f = SqliteFixture::new();
    f.fresh().await;
    let f: &dyn Fixture = &f;
    f.alert_to("ops@contoso.com").await;
    let certificate = "INSERT INTO Certificate (Address, Thumbprint, Sha256Fingerprint, Subject, Issuer, SerialNumber, ValidFrom, \
        ValidTo, KeyUsage, CanEncrypt, KeyAlgorithm, Source, Pem) VALUES ('a@b.c', '', '', '', '', '', \
        '2026-01-01T00:00:00.000Z', '2027-01-01T00:00:00.000Z', '', 1, '', '', '')";
    f.sql(certificate).await;
    for (table, columns) in [
        (
            "Alert",
            &["ReplyBy", "NotBefore", "ExpiresAt", "CreatedAt"][..],
        ),
        ("AlertState", &["DueAt"]),
        ("Certificate", &["ValidFrom", "ValidTo", "RevokedAt"]),
    ] {
        for column in columns {
            for time in [
                "2026-02-31T12:00:00.000Z",
                "2026-02-29T12:00:00.000Z",
                "2026-01-31T24:00:00.000Z",
            ] {
                let write = match table {
                    "Alert" => format!("INSERT INTO Alert ({column}) VALUES ('{time}')"),
                    _ => format!("UPDATE {table} SET {column} = '{time}'"),
                };
                let error = f.try_sql(&write).await.expect_err(time);
                let constraint = format!("CK_{table}_{column}");
                assert!(error.contains(&constraint), "{column} {time}: {error}");
            }
        }
    }
    f.sql("UPDATE Certificate SET RevokedAt = '2028-02-29T23:59:59.999Z'")
        .await;
}

/// Rows that no CHECK has seen: what is in one of them stops no verb, and it is shown.
async fn a_request_that_cannot_be_read_stops_no_other() {
    let f = SqliteFixture::new();
    let store: Arc<dyn Store> = f.fresh().await;
    let f: &dyn Fixture = &f;
    let id = f.alert_to("ops@contoso.com").await;
    let bad = [
        ("Verb", "'explode'"),
        ("CreatedUntil", "'yesterday'"),
        ("Status", "CAST(x'ff' AS TEXT)"),
        ("Status", "'exploded'"),
        ("Recipients", "'nobody'"),
        ("RequestedAt", "'2026-02-31T00:00:00.000Z'"),
    ];
    for (column, value) in bad {
        let insert = format!(
            "PRAGMA ignore_check_constraints = ON;
             INSERT INTO OperatorRequest (Verb, AlertName, CreatedUntil) VALUES ('cancel', 'x', '2026-01-01T00:00:00.000Z');
             UPDATE OperatorRequest SET {column} = {value} WHERE RequestId = last_insert_rowid()"
        );
        f.sql(&insert).await;
    }
    let cancel = request(OperatorVerb::Cancel, of_alert(id));
    let cancel = add(&store, &cancel).await;
    assert_eq!(
        (
            cancel.unreadable.clone(),
            pass(&store, &cancel).await.applied
        ),
        (None, 1)
    );
    for lines in [
        store.open_requests().await.expect("open"),
        store.requests(10).await.expect("the latest"),
    ] {
        let unreadable: Vec<_> = lines.iter().filter(|it| it.unreadable.is_some()).collect();
        assert_eq!(unreadable.len(), bad.len());
        for line in unreadable {
            let (column, _) = bad[usize::try_from(line.request_id.0).expect("small") - 1];
            let advice = line.advice().expect("an advice");
            let says = format!("because its row cannot be read: column {column} ");
            assert!(advice.contains(&says), "{advice}");
            assert!(line.operator_verb().is_none() && !line.is_applied());
        }
    }
}

/// Neither the list of certificates nor retention ends at a row that somebody damaged.
async fn a_row_that_cannot_be_read_is_left_out_of_lists() {
    let f = SqliteFixture::new();
    let store = f.fresh().await;
    let f: &dyn Fixture = &f;
    for address in ["a@contoso.com", "b@contoso.com"] {
        let insert = format!(
            "INSERT INTO Certificate (Address, Thumbprint, Sha256Fingerprint, Subject, Issuer, SerialNumber, ValidFrom, \
             ValidTo, KeyUsage, CanEncrypt, KeyAlgorithm, Source, Pem) VALUES ('{address}', '', '', '', '', '', \
             '2026-01-01T00:00:00.000Z', '2027-01-01T00:00:00.000Z', '', 1, '', '', '')"
        );
        f.sql(&insert).await;
    }
    f.sql("UPDATE Certificate SET AddedAt = 'yesterday' WHERE Address = 'a@contoso.com'")
        .await;
    let all = sendport_store::certificates::WhichCertificates::All;
    let certificates = store.certificates(all).await.expect("certificates");
    let addresses: Vec<_> = certificates.into_iter().map(|it| it.text.address).collect();
    assert_eq!(addresses, ["b@contoso.com"]);

    f.alert_to("ops@contoso.com").await;
    f.insert(
        "ToRecipients, SendPort",
        "'ops@contoso.com', CAST(x'ff' AS TEXT)",
    )
    .await;
    f.sql("UPDATE AlertState SET Status = 'failed', DueAt = NULL, FinalAt = StatusAt")
        .await;
    let groups = store.final_groups().await.expect("groups");
    let ports: Vec<_> = groups.into_iter().map(|it| it.send_port).collect();
    assert_eq!(ports, ["default"]);
    store.roll_up().await.expect("counts");
}

async fn refused(f: &dyn Fixture, set: &str) -> String {
    let update = format!("UPDATE Alert SET {set}");
    f.try_sql(&update).await.expect_err(set)
}

/// Until it is claimed an alert can be changed, as far as that changes something.
async fn an_update_of_an_alert_counts_or_is_refused() {
    let f = SqliteFixture::new();
    let store = f.fresh().await;
    let f: &dyn Fixture = &f;
    let id = f.alert_to("ops@contoso.com").await;
    for copied in [
        "SendPort = 'other'",
        "Priority = 'urgent'",
        "NotBefore = '2099-01-01T12:00:00.000Z'",
        "ExpiresAt = '2099-01-01T12:00:00.000Z'",
        "CreatedAt = '2020-01-01T12:00:00.000Z'",
        "AlertId = 4711",
    ] {
        let error = refused(f, copied).await;
        assert!(error.contains("insert a new one"), "{copied}: {error}");
    }
    f.sql("UPDATE Alert SET Subject = 'other', SendPort = SendPort")
        .await;
    let instance = instance(&store, "a").await;
    let (_, ids) = claim(&store, instance, 10).await;
    let loaded = store.load(&ids).await.expect("load");
    let LoadResult::Alert(alert) = &loaded[0] else {
        panic!("{loaded:?}")
    };
    assert_eq!((alert.id, alert.subject.as_deref()), (id, Some("other")));
    for set in [
        "Subject = 'forged'",
        "ToRecipients = 'x@contoso.com'",
        "Body = Body",
    ] {
        let error = refused(f, set).await;
        assert!(error.contains("was claimed cannot be changed"), "{error}");
    }
}

macro_rules! alone {
    ($($(#[$only:meta])* $scenario:ident;)*) => {
        /// What only SQLite has to prove.
        #[expect(clippy::vec_init_then_push, reason = "some are of one system only")]
        pub(crate) fn trials() -> Vec<Trial> {
            let mut trials = Vec::new();
            $(
                $(#[$only])*
                trials.push(trial(concat!("sqlite_only::", stringify!($scenario)), $scenario));
            )*
            trials
        }
    };
}
alone! {
    reading_creates_no_file;
    two_names_of_one_file_are_one_database;
    #[cfg(unix)]
    a_new_file_is_its_owners_alone;
    a_folder_and_another_kind_of_file_are_refused_in_words;
    a_lock_that_does_not_end_is_unavailable;
    looking_for_work_takes_no_lock;
    a_damaged_page_blocks_no_other_alert;
    a_refused_value_names_its_constraint;
    a_history_is_dumped_and_restored;
    times_of_another_form_are_refused;
    text_that_is_not_utf8_fails_its_row_alone;
    the_given_clock_decides_not_the_machines;
    an_insert_by_another_connection_wakes_at_once;
    an_insert_between_two_waits_is_noticed_at_once;
    our_own_commits_do_not_wake_us;
    #[cfg(target_os = "linux")]
    a_lease_is_not_taken_from_a_process_that_lives;
    a_dropped_call_is_done_or_undone;
    a_time_that_is_none_hides_no_other_row_from_the_listings;
    a_request_has_no_day_that_is_in_no_calendar;
    no_time_that_people_write_is_in_no_calendar;
    a_request_that_cannot_be_read_stops_no_other;
    a_row_that_cannot_be_read_is_left_out_of_lists;
    an_update_of_an_alert_counts_or_is_refused;
}
