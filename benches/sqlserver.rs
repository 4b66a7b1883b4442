//! Claims and records a second on SQL Server with 1, 4 and 8 workers, where
//! `SENDPORT_TEST_SQLSERVER` holds a connection string; in a database of its own.
//!
//! Not a criterion benchmark: one pass over a filled queue is the measurement, and workers
//! that block each other are its subject.

use std::error::Error;
use std::sync::Arc;
use std::time::{Duration, Instant};

use sendport_core::clock::{Clock, SystemClock};
use sendport_core::domain::{
    AlertId, AlertStatus, Attempt, AttemptKey, AttemptOutcome, Command, CommandReply, Decision,
    InDoubt, InstanceId, InstanceInfo, LeaseToken, Outcome, OutcomeKind, ProtectionFacts,
    RecipientAddress, RecipientKind, RecipientOutcome, RecipientStatus, Reply, SendPortInfo,
    SessionFacts,
};
use sendport_store::sqlserver::SqlServerStore;
use sendport_store::{AlertStore, Among, Claim, StoreAdmin};
use tiberius::{Client, Config};
use tokio::net::TcpStream;
use tokio_util::compat::TokioAsyncWriteCompatExt;

const ALERTS: usize = 2_000;
const BATCH: u32 = 50;

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

#[expect(clippy::print_stdout, reason = "figures are what a bench is for")]
#[tokio::main]
async fn main() -> Result<()> {
    let Ok(server) = std::env::var("SENDPORT_TEST_SQLSERVER") else {
        println!("SENDPORT_TEST_SQLSERVER is not set: nothing was measured on SQL Server");
        return Ok(());
    };
    let database = format!("sendport_bench_{}", uuid::Uuid::new_v4().simple());
    let own = format!("{server};Database={database}");
    let store = SqlServerStore::open(&own)?;
    store.create_database().await?;
    store.migrate().await?;
    for workers in [1, 4, 8] {
        fill(&own).await?;
        let begun = Instant::now();
        let seconds = work(&own, workers).await?;
        let all = begun.elapsed().as_secs_f64();
        println!(
            "{workers} workers: {:.0} alerts a second through claim and record ({:.0} claimed, {:.0} recorded a second of one worker)",
            ALERTS as f64 / all,
            ALERTS as f64 / seconds.0,
            ALERTS as f64 / seconds.1,
        );
    }
    drop(store);
    batch(&server, &format!("DROP DATABASE {database}")).await
}

async fn batch(connection_string: &str, sql: &str) -> Result<()> {
    let config = Config::from_ado_string(connection_string)?;
    let stream = TcpStream::connect(config.get_addr()).await?;
    let mut client = Client::connect(config, stream.compat_write()).await?;
    client.simple_query(sql).await?.into_results().await?;
    Ok(())
}

/// Alerts with bodies of 4 KiB.
async fn fill(connection_string: &str) -> Result<()> {
    let row = format!(
        "(N'ops@contoso.com', N'Order 4711 is late', N'{}')",
        "x".repeat(4096)
    );
    let rows = vec![row; 100].join(", ");
    let insert = format!("INSERT INTO sendport.Alert (ToRecipients, Subject, Body) VALUES {rows}");
    for _ in 0..ALERTS / 100 {
        batch(connection_string, &insert).await?;
    }
    Ok(())
}

/// Seconds of all workers together spent claiming, and recording.
async fn work(connection_string: &str, workers: usize) -> Result<(f64, f64)> {
    let mut tasks = tokio::task::JoinSet::new();
    for n in 0..workers {
        let store = Arc::new(SqlServerStore::open(connection_string)?);
        let instance = register(&store, n).await?;
        tasks.spawn(async move { one_worker(&store, instance).await });
    }
    let mut total = (0, (0.0, 0.0));
    for done in tasks.join_all().await {
        let (alerts, claiming, recording) = done?;
        total.0 += alerts;
        total.1.0 += claiming;
        total.1.1 += recording;
    }
    assert_eq!(total.0, ALERTS, "every alert once");
    Ok(total.1)
}

async fn register(store: &SqlServerStore, n: usize) -> Result<InstanceId> {
    let info = InstanceInfo {
        id: InstanceId::random(),
        name: format!("worker{n}"),
        host_name: "bench".to_owned(),
        process_id: 1,
        version: "0".to_owned(),
        environment: "test".to_owned(),
    };
    let port = SendPortInfo {
        name: "default".to_owned(),
        from_address: "alerts@contoso.com".to_owned(),
        relays: vec!["mail".to_owned()],
        protection: "none".to_owned(),
        max_age: Duration::from_secs(172_800),
        in_doubt: InDoubt::Retry,
    };
    store
        .register(&info, Duration::from_secs(3600), &[port], &[])
        .await?;
    Ok(info.id)
}

async fn one_worker(store: &SqlServerStore, instance: InstanceId) -> Result<(usize, f64, f64)> {
    let (mut alerts, mut claiming, mut recording) = (0, 0.0, 0.0);
    loop {
        let token = LeaseToken::random();
        let begun = Instant::now();
        let claim = Claim {
            instance,
            token,
            send_port: "default",
            limit: BATCH,
            among: Among::AllBut(&[]),
        };
        let claimed = store.claim(&claim).await?;
        claiming += begun.elapsed().as_secs_f64();
        if claimed.alerts.is_empty() && !claimed.may_hold_more {
            return Ok((alerts, claiming, recording));
        }
        let outcomes: Vec<_> = claimed
            .alerts
            .iter()
            .map(|&id| relayed(id, token))
            .collect();
        let begun = Instant::now();
        store.record(instance, &outcomes).await?;
        recording += begun.elapsed().as_secs_f64();
        alerts += outcomes.len();
    }
}

fn relayed(alert: AlertId, token: LeaseToken) -> Outcome {
    let now = SystemClock.now();
    let reply = |command| CommandReply {
        ordinal: (command == Command::Rcpt).then_some(0),
        reply: Reply::new(command, 250, None, "ok"),
    };
    let attempt = Attempt {
        key: AttemptKey::fresh(),
        number: 1,
        relay: "mail".to_owned(),
        started_at: now,
        ended_at: now,
        outcome: AttemptOutcome::Relayed,
        message_id: format!("<{alert}@contoso.com>"),
        size_bytes: 5000,
        protection: "none".to_owned(),
        protected: ProtectionFacts::default(),
        redirect_to: None,
        facts: SessionFacts::default(),
        replies: [Command::Mail, Command::Rcpt, Command::EndOfData]
            .map(reply)
            .into(),
    };
    let recipient = RecipientOutcome {
        ordinal: 0,
        kind: RecipientKind::To,
        address: RecipientAddress::from_row("ops@contoso.com", None),
        status: RecipientStatus::Relayed,
        attempt_count: 1,
        relay: Some("mail".to_owned()),
        reply: Some(Reply::new(Command::EndOfData, 250, None, "ok")),
        explanation: None,
        remark: None,
        redirect_to: None,
    };
    let decision = Decision {
        status: AlertStatus::Relayed,
        retry_in: None,
        reason: None,
        attempt: Some(attempt),
        recipients: vec![recipient],
        template_version: None,
    };
    Outcome {
        alert,
        token,
        kind: OutcomeKind::Decided(Box::new(decision)),
    }
}
