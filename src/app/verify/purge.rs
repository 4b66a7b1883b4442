//! What a purge leaves behind on the server: ghosts, old versions, log.

use std::sync::Arc;
use std::time::Duration;

use sendport_store::sqlserver::SqlServerStore;
use sendport_store::{Store, StoreError};
use tokio::time::{Instant, sleep};

use crate::verify::{Grade, Report, purge_all};

/// How long the engine may take to clean up.
const PATIENCE: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_secs(2);

/// Purges everything that is final.
pub(super) async fn prove(store: &Arc<dyn Store>, report: &mut Report) -> Result<(), StoreError> {
    let run = purge_all(store).await?;
    report.add(Grade::Fact, "purge", run.in_words());
    Ok(())
}

/// The same, and what the engine counted around it. `named` is the database of the configuration.
pub(super) async fn prove_on_server(
    scratch: &SqlServerStore,
    store: &Arc<dyn Store>,
    named: &str,
    report: &mut Report,
) -> Result<(), StoreError> {
    let before = Sizes::read(scratch).await;
    prove(store, report).await?;
    let after = Sizes::read(scratch).await;
    report.add_measured("ghosts", ghosts(scratch).await);
    report.add_measured(
        "version store",
        grown("tempdb", before.versions, after.versions),
    );
    let kept = grown("the database", before.kept_versions, after.kept_versions);
    report.add_measured("persistent version store", kept);
    report.add_measured("log", log(scratch, before.log, after.log).await);
    report.add_measured("availability groups", replicas(scratch, named).await);
    Ok(())
}

/// In kilobytes.
type Size = Result<i64, StoreError>;

/// What grows while rows are deleted.
struct Sizes {
    versions: Size,
    kept_versions: Size,
    log: Size,
}

impl Sizes {
    async fn read(scratch: &SqlServerStore) -> Self {
        let log = scratch.log_usage().await;
        Self {
            versions: scratch.version_store_kb().await,
            kept_versions: scratch.persistent_version_store_kb().await,
            log: log.map(|log| log.used_bytes / 1024),
        }
    }
}

/// Right after the purge, and until they are gone.
async fn ghosts(scratch: &SqlServerStore) -> Result<(Grade, String), StoreError> {
    let begun = Instant::now();
    let first = scratch.ghost_records().await?;
    let mut last = first;
    while last.deleted + last.versioned > 0 && begun.elapsed() < PATIENCE {
        sleep(PAUSE).await;
        last = scratch.ghost_records().await?;
    }
    let text = format!(
        "{} ghost records right after the purge, {} of them versions for other transactions; {} remain after {} s",
        first.deleted + first.versioned,
        first.versioned,
        last.deleted + last.versioned,
        begun.elapsed().as_secs()
    );
    Ok((Grade::Fact, text))
}

fn grown(place: &str, before: Size, after: Size) -> Result<(Grade, String), StoreError> {
    let text = format!(
        "{} KB in {place} before the purge, {} KB after it",
        before?, after?
    );
    Ok((Grade::Fact, text))
}

async fn log(
    scratch: &SqlServerStore,
    before: Size,
    after: Size,
) -> Result<(Grade, String), StoreError> {
    let (before, after) = (before?, after?);
    let wait = scratch.log_usage().await?.reuse_wait;
    let text = format!(
        "{before} KB in use before the purge, {after} KB after it; log_reuse_wait_desc is {wait}"
    );
    Ok((Grade::Fact, text))
}

/// A new database is in no group, so the queues are those of the named one, unless `--database` names one that is.
async fn replicas(scratch: &SqlServerStore, named: &str) -> Result<(Grade, String), StoreError> {
    let Some(queues) = scratch.replica_queues(named).await? else {
        let text = "this engine does not measure it".to_owned();
        return Ok((Grade::NotMeasured, text));
    };
    let text = match queues.replicas {
        0 => format!("neither {named} nor the database of the proof has a secondary replica here"),
        count => format!(
            "{count} secondary replicas; the last one has {} KB of log to receive and {} KB to redo",
            queues.send_kb, queues.redo_kb
        ),
    };
    Ok((Grade::Fact, text))
}
