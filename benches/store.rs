//! What one message costs the store: claim and record, in batches of 50, while other rows
//! pile up. The promise: with 1,000,000 finished rows, or 1,000,000 rows queued for another,
//! blocked send port, at most 1.2 times what it costs with 10,000 finished rows.
//!
//! The comparison comes first, all cases in turn; then each case by itself. Each runs twice: on the disk of the target folder, where every commit waits for the
//! disk as in production, and in memory (`/dev/shm`, where there is one), where that wait does
//! not hide the rest.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use rusqlite::Connection;
use sendport_core::clock::{Clock, SystemClock};
use sendport_core::domain::{
    AlertId, AlertStatus, Attempt, AttemptKey, AttemptOutcome, Command, CommandReply, Decision,
    InstanceId, InstanceInfo, LeaseToken, Outcome, OutcomeKind, ProtectionFacts, RecipientAddress,
    RecipientKind, RecipientOutcome, RecipientStatus, Reply, SessionFacts,
};
use sendport_store::sqlite::SqliteStore;
use sendport_store::{AlertStore, Among, Claim, StoreAdmin};
use tokio::runtime::Runtime;

const BATCH: u32 = 50;
/// Longer than a run.
const LEASE: Duration = Duration::from_secs(24 * 3600);
/// Of the comparison.
const ROUNDS: usize = 600;

/// The last is the first once more: how far it is from 1.00 x is how noisy the machine is.
const CASES: [Backlog; 4] = [
    Backlog::Finished(10_000),
    Backlog::Finished(1_000_000),
    Backlog::BlockedPort(1_000_000),
    Backlog::Finished(10_001),
];

/// Rows that are there before the measurement.
#[derive(Clone, Copy)]
enum Backlog {
    Finished(u32),
    BlockedPort(u32),
}

impl Backlog {
    fn name(self) -> String {
        match self {
            Self::Finished(rows) => format!("{rows} finished"),
            Self::BlockedPort(rows) => format!("{rows} queued for a blocked port"),
        }
    }

    /// Bulk inserts; the trigger is away meanwhile, because its rows would be rewritten.
    fn fill(self, connection: &Connection) {
        let (rows, port, finished) = match self {
            Self::Finished(rows) => (rows, "default", true),
            Self::BlockedPort(rows) => (rows, "blocked", false),
        };
        let trigger: String = connection
            .query_row(
                "SELECT sql FROM sqlite_schema WHERE name = 'TR_Alert_Insert'",
                [],
                |row| row.get(0),
            )
            .expect("the trigger");
        let state = if finished {
            "'relayed', CreatedAt, NULL, 1, CreatedAt"
        } else {
            "'queued', CreatedAt, CreatedAt, 0, NULL"
        };
        let fill = format!(
            "PRAGMA synchronous = OFF;
             BEGIN;
             DROP TRIGGER TR_Alert_Insert;
             WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {rows})
             INSERT INTO Alert (ToRecipients, Subject, Body, SendPort, Reference)
             SELECT 'ops@contoso.com', 'Order is late', '{body}', '{port}', 'order-' || i FROM n;
             INSERT INTO AlertState
                 (AlertId, SendPort, Priority, CreatedAt, Status, StatusAt, DueAt, AttemptCount, FinalAt)
             SELECT AlertId, SendPort, Priority, CreatedAt, {state} FROM Alert;
             {trigger};
             COMMIT;",
            body = "It is late. ".repeat(20),
        );
        connection.execute_batch(&fill).expect("fill");
        if finished {
            connection.execute_batch(HISTORY).expect("history");
        }
        connection
            .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
            .expect("checkpoint");
    }
}

const HISTORY: &str = "
    BEGIN;
    INSERT INTO Recipient (AlertId, Ordinal, Kind, Address, Status, StatusAt, AttemptCount, ReplyCode, ReplyText)
    SELECT AlertId, 0, 'to', 'ops@contoso.com', 'relayed', CreatedAt, 1, 250, 'queued' FROM Alert;
    INSERT INTO Attempt (AttemptKey, AlertId, AttemptNumber, Outcome, EndedAt)
    SELECT PublicId, AlertId, 1, 'relayed', CreatedAt FROM Alert;
    INSERT INTO AttemptReply (AttemptId, Ordinal, Command, ReplyCode, ReplyText)
    SELECT AttemptId, 0, 'END-OF-DATA', 250, 'queued' FROM Attempt;
    COMMIT;";

/// Only a registered instance claims.
async fn register(store: &SqliteStore, id: InstanceId) {
    let info = InstanceInfo {
        id,
        name: "bench".to_owned(),
        host_name: "bench".to_owned(),
        process_id: std::process::id(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        environment: "bench".to_owned(),
    };
    store.name_environment("bench").await.expect("a name");
    let registered = store.register(&info, LEASE, &[], &[]).await;
    registered.expect("register");
}

/// A filled database, the store on it, and an application that inserts.
struct World {
    store: SqliteStore,
    application: Connection,
    instance: InstanceId,
    first_new: i64,
}

impl World {
    fn new(runtime: &Runtime, path: &Path, backlog: Backlog) -> Self {
        let store = SqliteStore::open(path, Arc::new(SystemClock)).expect("open");
        runtime.block_on(store.migrate()).expect("migrate");
        let application = Connection::open(path).expect("open");
        application
            .pragma_update(None, "foreign_keys", true)
            .expect("foreign keys");
        backlog.fill(&application);
        let first_new = application
            .query_row("SELECT max(AlertId) + 1 FROM Alert", [], |row| row.get(0))
            .expect("a key");
        let instance = InstanceId::random();
        runtime.block_on(register(&store, instance));
        Self {
            store,
            application,
            instance,
            first_new,
        }
    }

    fn insert(&self) {
        let insert = format!(
            "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {BATCH})
             INSERT INTO Alert (ToRecipients, Subject, Body) SELECT 'ops@contoso.com', 's', 'b' FROM n;"
        );
        self.application.execute_batch(&insert).expect("insert");
    }

    fn clear(&self) {
        self.application
            .execute("DELETE FROM Alert WHERE AlertId >= ?1", [self.first_new])
            .expect("delete");
    }

    /// One batch, from the claim to the record, without what happens in between.
    async fn batch(&self) -> Duration {
        let token = LeaseToken::random();
        let claim = Claim {
            instance: self.instance,
            token,
            send_port: "default",
            limit: BATCH,
            among: Among::AllBut(&[]),
        };
        let start = Instant::now();
        let claimed = self.store.claim(&claim).await.expect("claim");
        let claiming = start.elapsed();
        assert_eq!(claimed.alerts.len(), BATCH as usize);
        let outcomes: Vec<_> = claimed
            .alerts
            .iter()
            .map(|&id| relayed(id, token))
            .collect();
        let start = Instant::now();
        self.store
            .record(self.instance, &outcomes)
            .await
            .expect("record");
        claiming + start.elapsed()
    }
}

fn relayed(alert: AlertId, token: LeaseToken) -> Outcome {
    let reply = Reply::new(Command::EndOfData, 250, None, "queued as 4711");
    let now = SystemClock.now();
    let decision = Decision {
        status: AlertStatus::Relayed,
        retry_in: None,
        reason: None,
        attempt: Some(Attempt {
            key: AttemptKey::fresh(),
            number: 1,
            relay: "mail".to_owned(),
            started_at: now,
            ended_at: now,
            outcome: AttemptOutcome::Relayed,
            message_id: "<4711@contoso.com>".to_owned(),
            size_bytes: 4711,
            protection: "none".to_owned(),
            protected: ProtectionFacts::default(),
            redirect_to: None,
            facts: SessionFacts::default(),
            replies: vec![CommandReply {
                ordinal: None,
                reply: reply.clone(),
            }],
        }),
        recipients: vec![RecipientOutcome {
            ordinal: 0,
            kind: RecipientKind::To,
            address: RecipientAddress::from_row("ops@contoso.com", None),
            status: RecipientStatus::Relayed,
            attempt_count: 1,
            relay: Some("mail".to_owned()),
            reply: Some(reply),
            explanation: None,
            remark: None,
            redirect_to: None,
        }],
        template_version: None,
    };
    Outcome {
        alert,
        token,
        kind: OutcomeKind::Decided(Box::new(decision)),
    }
}

fn folders() -> Vec<(&'static str, PathBuf)> {
    let memory = PathBuf::from("/dev/shm");
    let disk = ("disk", PathBuf::from(env!("CARGO_TARGET_TMPDIR")));
    if memory.is_dir() {
        vec![("memory", memory), disk]
    } else {
        vec![disk]
    }
}

fn claim_and_record(criterion: &mut Criterion) {
    let runtime = Runtime::new().expect("a runtime");
    for (medium, folder) in folders() {
        let mut group = criterion.benchmark_group(format!("claim and record on {medium}"));
        group.throughput(Throughput::Elements(u64::from(BATCH)));
        group
            .sample_size(30)
            .measurement_time(Duration::from_secs(5));
        for backlog in CASES {
            let folder = tempfile::tempdir_in(&folder).expect("a folder");
            let world = World::new(&runtime, &folder.path().join("bench.db"), backlog);
            group.bench_function(backlog.name(), |bencher| {
                bencher.iter_custom(|batches| {
                    let mut spent = Duration::ZERO;
                    for _ in 0..batches {
                        world.insert();
                        spent += runtime.block_on(world.batch());
                        world.clear();
                    }
                    spent
                });
            });
        }
        group.finish();
    }
}

/// All cases in turn, batch by batch, so that a machine that is busy with something else is
/// equally unfair to each.
#[expect(clippy::print_stdout, reason = "the report of a benchmark")]
fn compare(_: &mut Criterion) {
    let runtime = Runtime::new().expect("a runtime");
    for (medium, folder) in folders() {
        let folder = tempfile::tempdir_in(&folder).expect("a folder");
        let worlds = CASES.map(|backlog| {
            let path = folder.path().join(format!("{}.db", backlog.name()));
            World::new(&runtime, &path, backlog)
        });
        let mut spent: [Vec<Duration>; CASES.len()] = Default::default();
        for _ in 0..ROUNDS {
            for (world, spent) in worlds.iter().zip(&mut spent) {
                world.insert();
                spent.push(runtime.block_on(world.batch()));
                world.clear();
            }
        }
        let medians = spent.map(|mut batches| {
            batches.sort_unstable();
            batches[ROUNDS / 2].as_secs_f64() * 1e6 / f64::from(BATCH)
        });
        for (backlog, median) in CASES.iter().zip(medians) {
            let times = median / medians[0];
            println!(
                "{medium}: {median:6.1} us a message, {times:.2} x: {}",
                backlog.name()
            );
        }
    }
}

criterion_group!(benches, compare, claim_and_record);
criterion_main!(benches);
