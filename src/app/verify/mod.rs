//! Composes the proof that a database can be the queue: a database to try in, two stores on it, and an application's
//! locks.

mod purge;
mod scratch_file;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use sendport_core::domain::AlertId;
use sendport_store::sqlite::SqliteStore;
use sendport_store::sqlserver::{OpenTransaction, SqlServerStore};
use sendport_store::verification::ServerProperties;
use sendport_store::{Store, StoreAdmin as _, StoreError};
use uuid::Uuid;

use super::database::{Connection, connection};
use super::{AppError, system_clock};
use crate::config::Config;
use crate::verify::{Contention, Grade, Report, insert_alerts, measure_rates, try_rules};
use scratch_file::ScratchFile;

/// What to prove it on.
#[derive(Debug, Clone)]
pub struct VerifyPlan {
    /// An existing database without tables; `None`: a new one is created, and dropped at the end.
    pub database: Option<String>,
    /// Alerts for which the instances compete.
    pub alerts: u32,
}

/// How long the instances may take for one alert, at the slowest.
const PER_ALERT: Duration = Duration::from_millis(50);
/// And for the locks to be noticed.
const AT_LEAST: Duration = Duration::from_secs(60);
/// The environment of the database to try in.
const ENVIRONMENT: &str = "verify";
/// The methods whose statements run for each alert. Each must seek.
const HOT: [&str; 6] = ["claim", "record", "renew", "expire", "take_over", "load"];

/// Proves it, and tells `progress` what begins.
///
/// # Errors
/// [`AppError`] where the database cannot be used at all. What is found is in the report.
pub async fn verify(
    config: &Config,
    plan: &VerifyPlan,
    progress: impl Fn(&str) + Sync,
) -> Result<Report, AppError> {
    match connection(config)? {
        Connection::Sqlite(file) => verify_sqlite(&file, plan, progress).await,
        Connection::SqlServer(store) => verify_sql_server(&store, plan, progress).await,
    }
}

/// The short form: a file beside the database, so on the same disk. It has no locks of applications.
async fn verify_sqlite(
    file: &Path,
    plan: &VerifyPlan,
    progress: impl Fn(&str) + Sync,
) -> Result<Report, AppError> {
    if plan.database.is_some() {
        let what =
            "--database names a database of SQL Server, and this configuration has a SQLite file";
        return Err(AppError::config_at("database.connection", what));
    }
    let mut report = Report::default();
    let folder = match file.parent() {
        Some(folder) if folder.as_os_str().is_empty() => Path::new("."),
        Some(folder) => folder,
        None => Path::new("."),
    };
    let scratch = ScratchFile::new(folder);
    let open = || -> Result<Arc<SqliteStore>, StoreError> {
        Ok(Arc::new(SqliteStore::open(scratch.path(), system_clock())?))
    };
    let store = open()?;
    store.create_database().await?;
    // Which sets the journal mode.
    store.migrate().await?;
    let properties = "SELECT 'SQLite ' || sqlite_version() || ', journal mode ' || (SELECT journal_mode FROM pragma_journal_mode())";
    let (_, rows) = store.query(properties).await?;
    let text = rows.into_iter().flatten().next().unwrap_or_default();
    report.add(Grade::Fact, "engine", text);
    let stores: [Arc<dyn Store>; 2] = [store, open()?];
    prove(&stores, plan, &mut report, &progress, None).await?;
    progress("purge");
    purge::prove(&stores[0], &mut report).await?;
    Ok(report)
}

async fn verify_sql_server(
    named: &SqlServerStore,
    plan: &VerifyPlan,
    progress: impl Fn(&str) + Sync,
) -> Result<Report, AppError> {
    let mut report = Report::default();
    let properties = named.properties().await?;
    add_properties(&properties, &mut report);
    let scratch = match &plan.database {
        Some(name) => empty_database(named, name).await?,
        None => {
            progress("create a database");
            let name = format!("sendport_verify_{}", Uuid::new_v4().simple());
            let scratch = named.in_database(&name);
            let refused = scratch.create_like(&properties).await?;
            if !refused.is_empty() {
                report.add(Grade::NotMeasured, "database options", refused.join("; "));
            }
            scratch
        }
    };
    let proof = prove_on(&scratch, named.database(), plan, &mut report, &progress).await;
    progress("remove what was created");
    let removed = match plan.database {
        Some(_) => scratch.drop_schema().await,
        None => scratch.drop_database().await,
    };
    let left = removed.err().map(|error| {
        let database = scratch.describe();
        format!("{database} could not be removed: {error}")
    });
    match (proof, left) {
        (Ok(()), None) => Ok(report),
        (Ok(()), Some(left)) => {
            report.add(Grade::Fail, "clean-up", left);
            Ok(report)
        }
        (Err(error), None) => Err(error),
        (Err(error), Some(left)) => Err(AppError::WrongDatabase(format!("{error}; {left}"))),
    }
}

/// Refuses one that has tables.
async fn empty_database(named: &SqlServerStore, name: &str) -> Result<SqlServerStore, AppError> {
    let scratch = named.in_database(name);
    let tables = scratch.table_count().await?;
    if tables > 0 {
        return Err(AppError::WrongDatabase(format!(
            "{} has {tables} tables; --database needs one without tables, because the proof creates its own and drops them",
            scratch.describe()
        )));
    }
    Ok(scratch)
}

async fn prove_on(
    scratch: &SqlServerStore,
    named: &str,
    plan: &VerifyPlan,
    report: &mut Report,
    progress: &(impl Fn(&str) + Sync),
) -> Result<(), AppError> {
    let own = || Arc::new(scratch.in_database(scratch.database()));
    let (one, two) = (own(), own());
    let stores: [Arc<dyn Store>; 2] = [one.clone(), two.clone()];
    prove(&stores, plan, report, progress, Some(scratch)).await?;
    progress("purge");
    purge::prove_on_server(scratch, &stores[0], named, report).await?;
    progress("read what the engine measured");
    report.add(
        Grade::Fact,
        "deadlocks",
        format!(
            "{}; each statement was repeated",
            one.deadlocks() + two.deadlocks()
        ),
    );
    report.add_measured("lock escalation", lock_escalation(scratch).await);
    report.add_measured("plans", plans(scratch).await);
    Ok(())
}

async fn prove(
    stores: &[Arc<dyn Store>; 2],
    plan: &VerifyPlan,
    report: &mut Report,
    progress: &(impl Fn(&str) + Sync),
    application: Option<&SqlServerStore>,
) -> Result<(), AppError> {
    let [one, two] = stores;
    progress("create the schema");
    one.migrate().await?;
    one.name_environment(ENVIRONMENT).await?;
    progress("rules");
    try_rules(one, report).await?;
    progress("claims and records a second");
    report.rates = measure_rates(one).await?;
    progress("two instances compete");
    let ids = insert_alerts(one, plan.alerts).await?;
    let contention = Contention::default();
    let at_most = AT_LEAST + PER_ALERT * plan.alerts;
    let all = ids.len();
    if let Some(application) = application {
        let locks = lock_some(application, &ids).await?;
        let free = all - locks.locked.len();
        contention.run([one, two], free, at_most).await?;
        add_beside_locks(&contention, free, &locks, report);
    }
    contention.run([one, two], all, at_most).await?;
    let recorded = contention.recorded();
    let grade = if recorded == all {
        Grade::Ok
    } else {
        Grade::Fail
    };
    report.add(
        grade,
        "records",
        format!("{recorded} of {all} alerts were recorded"),
    );
    contention.report(report);
    Ok(())
}

/// What an application has locked.
struct ApplicationLocks {
    /// Alerts that nobody else may change now.
    locked: Vec<AlertId>,
    _transactions: Vec<OpenTransaction>,
}

/// An insert that is not committed, an alert that a serializable reader has read, and one that is being changed.
async fn lock_some(store: &SqlServerStore, ids: &[AlertId]) -> Result<ApplicationLocks, AppError> {
    let insert = "INSERT INTO sendport.Alert (ToRecipients, Subject) VALUES (N'nobody@sendport.invalid', N'never committed');";
    let mut transactions = vec![store.begin(insert).await?];
    let mut locked = Vec::new();
    let candidates = [ids.len() / 3, ids.len() * 2 / 3];
    let [read, changed] = candidates.map(|place| ids.get(place).copied());
    if let Some(id) = read {
        let sql = format!(
            "SELECT COUNT(*) FROM sendport.AlertRow WITH (HOLDLOCK, ROWLOCK) WHERE AlertId = {id};"
        );
        transactions.push(store.begin(&sql).await?);
        locked.push(id);
    }
    if let Some(id) = changed.filter(|id| Some(*id) != read) {
        let sql = format!("UPDATE sendport.AlertRow SET Source = N'verify' WHERE AlertId = {id};");
        transactions.push(store.begin(&sql).await?);
        locked.push(id);
    }
    Ok(ApplicationLocks {
        locked,
        _transactions: transactions,
    })
}

fn add_beside_locks(
    contention: &Contention,
    free: usize,
    locks: &ApplicationLocks,
    report: &mut Report,
) {
    let recorded = contention.recorded();
    let text = format!(
        "{recorded} alerts were recorded while an insert was not committed and other transactions had locked {} alerts; \
         expected: at least {free}",
        locks.locked.len()
    );
    let grade = if recorded >= free {
        Grade::Ok
    } else {
        Grade::Fail
    };
    report.add(grade, "locks of applications", text);
}

fn add_properties(properties: &ServerProperties, report: &mut Report) {
    let product = properties.product.clone().unwrap_or_default();
    let edition = properties.edition.clone().unwrap_or_default();
    report.add(Grade::Fact, "engine", format!("{product}, {edition}"));
    let on = |value: Option<bool>| match value {
        Some(true) => "on",
        Some(false) => "off",
        None => "not known to this engine",
    };
    let level = properties.compatibility_level;
    report.add(
        Grade::Fact,
        "database",
        format!(
            "compatibility level {}, collation {}, READ_COMMITTED_SNAPSHOT {}, ACCELERATED_DATABASE_RECOVERY {}, \
             OPTIMIZED_LOCKING {}",
            level.map_or_else(|| "unknown".to_owned(), |level| level.to_string()),
            properties.collation.as_deref().unwrap_or("unknown"),
            on(properties.has_row_versioning),
            on(properties.has_accelerated_recovery),
            on(properties.has_optimized_locking)
        ),
    );
}

async fn lock_escalation(store: &SqlServerStore) -> Result<(Grade, String), StoreError> {
    let locks = store.lock_statistics().await?;
    let text = format!(
        "{} escalations; {} waits for row locks and {} for page locks, {} ms in all",
        locks.escalations, locks.row_waits, locks.page_waits, locks.wait_ms
    );
    let grade = if locks.escalations == 0 {
        Grade::Ok
    } else {
        Grade::Fail
    };
    Ok((grade, text))
}

async fn plans(store: &SqlServerStore) -> Result<(Grade, String), StoreError> {
    let plans = store.cached_plans().await?;
    let hot = |name: &str| HOT.contains(&name);
    let seen: std::collections::BTreeSet<_> = plans
        .iter()
        .map(|plan| plan.statement.as_str())
        .filter(|name| hot(name))
        .collect();
    let missing: Vec<_> = HOT
        .iter()
        .filter(|name| !seen.contains(*name))
        .copied()
        .collect();
    let scans: Vec<_> = plans
        .iter()
        .filter(|plan| hot(&plan.statement) && !plan.scanned.is_empty())
        .map(|plan| format!("{} scans {}", plan.statement, plan.scanned.join(", ")))
        .collect();
    if !scans.is_empty() {
        return Ok((Grade::Fail, scans.join("; ")));
    }
    let seen: Vec<_> = seen.into_iter().collect();
    let text = format!("each statement seeks: {}", seen.join(", "));
    if seen.is_empty() {
        return Ok((
            Grade::NotMeasured,
            "the plan cache has none of the statements".to_owned(),
        ));
    }
    Ok((
        Grade::Ok,
        if missing.is_empty() {
            text
        } else {
            format!("{text}; not in the plan cache: {}", missing.join(", "))
        },
    ))
}
