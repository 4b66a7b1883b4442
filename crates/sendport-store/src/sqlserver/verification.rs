//! A database to try in, an application's open transaction, and what the engine measured.

use tiberius::Row;

use super::SqlServerStore;
use super::connection::Connection;
use super::error::unexpected;
use super::instance::KnownRelays;
use super::operator_queries::lines;
use super::pool::Pool;
use super::values::Fields;
use crate::verification::{
    GhostRecords, LockStatistics, LogUsage, ReplicaQueues, ServerProperties, StatementPlan,
};
use crate::{ColumnError, StoreError, StoreErrorKind};

const PROPERTIES_RECOVERY: &str = "SELECT CAST(d.is_accelerated_database_recovery_on AS int)
    FROM sys.databases d WHERE d.name = DB_NAME();";

/// Old versions of rows of this database in tempdb, in kilobytes.
const VERSION_STORE_KB: &str = "SELECT CAST(COALESCE(SUM(v.reserved_space_kb), 0) AS bigint) \
    FROM sys.dm_tran_version_store_space_usage v WHERE v.database_id = DB_ID();";

/// Old versions of rows in this database itself, with ACCELERATED_DATABASE_RECOVERY, in kilobytes.
const PERSISTENT_VERSION_STORE_KB: &str = "SELECT CAST(COALESCE(SUM(v.persistent_version_store_size_kb), 0) AS bigint) \
    FROM sys.dm_tran_persistent_version_store_stats v WHERE v.database_id = DB_ID();";

const TABLE_COUNT: &str = "SELECT COUNT(*) FROM sys.tables t WHERE t.is_ms_shipped = 0;";

/// A transaction of an application that stays open, with its locks, until this is dropped.
pub struct OpenTransaction {
    _connection: Connection,
}

impl std::fmt::Debug for OpenTransaction {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OpenTransaction").finish_non_exhaustive()
    }
}

impl SqlServerStore {
    /// The server and the database.
    ///
    /// # Errors
    /// [`StoreError`] where it cannot be connected to, or lets nobody read its catalog views.
    pub async fn properties(&self) -> Result<ServerProperties, StoreError> {
        const DOING: &str = "read the properties of the server";
        let sql = include_str!("sql/properties.sql");
        let row = self.pool.row(DOING, sql, &[]).await?;
        let read = properties(&mut Fields::of(&row));
        let mut properties = read.map_err(|e| unexpected(DOING, e))?;
        // SQL Server 2017 does not have the column.
        properties.has_accelerated_recovery =
            match self.pool.row(DOING, PROPERTIES_RECOVERY, &[]).await {
                Ok(row) => truth(&mut Fields::of(&row)).map_err(|e| unexpected(DOING, e))?,
                Err(error) if error.kind() == StoreErrorKind::Schema => None,
                Err(error) => return Err(error),
            };
        Ok(properties)
    }

    /// Another database of the same server, with the same login. Nothing is connected to yet.
    #[must_use]
    pub fn in_database(&self, name: &str) -> Self {
        Self {
            pool: Pool::new(self.pool.settings().with_database(name)),
            known_relays: KnownRelays::default(),
            large_messages: tokio::sync::Mutex::default(),
        }
    }

    /// The name of the database.
    pub fn database(&self) -> &str {
        &self.pool.settings().database
    }

    /// Creates this database with the collation, the compatibility level and the row versioning of `like`. Returns
    /// what the engine did not accept, one sentence each.
    ///
    /// # Errors
    /// [`StoreError`] where the database cannot be created.
    pub async fn create_like(&self, like: &ServerProperties) -> Result<Vec<String>, StoreError> {
        const DOING: &str = "create a database to try in";
        let mut refused = Vec::new();
        let master = Pool::new(self.pool.settings().with_database("master"));
        let name = self.database();
        let sql = include_str!("sql/create_like.sql");
        let collation = like.collation.clone().unwrap_or_default();
        if let Err(error) = master.query(DOING, sql, &[&name, &collation]).await {
            refused.push(format!("the collation {collation}: {error}"));
            master.query(DOING, sql, &[&name, &""]).await?;
        }
        let quoted = name.replace(']', "]]");
        let level = like.compatibility_level;
        let options = [
            level.map(|level| format!("COMPATIBILITY_LEVEL = {level}")),
            like.has_row_versioning.map(|on| {
                let on = if on { "ON" } else { "OFF" };
                format!("READ_COMMITTED_SNAPSHOT {on}")
            }),
        ];
        for option in options.into_iter().flatten() {
            let sql = format!("ALTER DATABASE [{quoted}] SET {option};");
            if let Err(error) = master.query(DOING, &sql, &[]).await {
                refused.push(format!("{option}: {error}"));
            }
        }
        Ok(refused)
    }

    /// Drops this database.
    ///
    /// # Errors
    /// [`StoreError`] where the server refuses it.
    pub async fn drop_database(&self) -> Result<(), StoreError> {
        const DOING: &str = "drop the database";
        let master = Pool::new(self.pool.settings().with_database("master"));
        let sql = include_str!("sql/drop_database.sql");
        master.query(DOING, sql, &[&self.database()]).await?;
        Ok(())
    }

    /// How many tables of users the database has.
    ///
    /// # Errors
    /// [`StoreError`] where it does not exist, or the login may not use it.
    pub async fn table_count(&self) -> Result<u32, StoreError> {
        const DOING: &str = "count the tables";
        let row = self.pool.row(DOING, TABLE_COUNT, &[]).await?;
        Fields::of(&row).count().map_err(|e| unexpected(DOING, e))
    }

    /// Drops everything that the migrations create in this database.
    ///
    /// # Errors
    /// [`StoreError`] where the server refuses it.
    pub async fn drop_schema(&self) -> Result<(), StoreError> {
        const DOING: &str = "drop the schema";
        let sql = include_str!("sql/drop_schema.sql");
        let mut before = usize::MAX;
        loop {
            let rows = self.pool.rows(DOING, sql, &[]).await?;
            let left = lines(DOING, &rows, |f| f.text())?;
            // An engine may refuse to drop what another object names: those are left for the next round.
            let mut refused = None;
            for statement in &left {
                if let Err(error) = self.pool.query(DOING, statement, &[]).await {
                    refused.get_or_insert(error);
                }
            }
            match refused {
                None => return Ok(()),
                Some(error) if left.len() >= before => return Err(error),
                Some(_) => before = left.len(),
            }
        }
    }

    /// Begins a transaction on a connection of its own, as an application does, and executes `statement` in it.
    ///
    /// # Errors
    /// [`StoreError`] where the server refuses it.
    pub async fn begin(&self, statement: &str) -> Result<OpenTransaction, StoreError> {
        const DOING: &str = "open a transaction";
        let other = Pool::new(self.pool.settings().clone());
        let mut connection = other.connection(DOING).await?;
        let sql = format!("BEGIN TRANSACTION; {statement}");
        let opened = connection.batch(&sql).await;
        opened.map_err(|error| other.error(DOING, error))?;
        Ok(OpenTransaction {
            _connection: connection,
        })
    }

    /// What the engine counted about locks on the tables of the schema.
    ///
    /// # Errors
    /// [`StoreError`] where the login lacks VIEW DATABASE STATE, or the engine does not count.
    pub async fn lock_statistics(&self) -> Result<LockStatistics, StoreError> {
        const DOING: &str = "read the statistics of locks";
        let sql = include_str!("sql/lock_statistics.sql");
        let row = self.pool.row(DOING, sql, &[]).await?;
        lock_statistics(&mut Fields::of(&row)).map_err(|e| unexpected(DOING, e))
    }

    /// The plans of our statements in the engine's cache. Each is the plan that the engine executed.
    ///
    /// # Errors
    /// [`StoreError`] where the login lacks VIEW SERVER STATE, or the engine does not show plans.
    pub async fn cached_plans(&self) -> Result<Vec<StatementPlan>, StoreError> {
        const DOING: &str = "read the plans of statements";
        let sql = include_str!("sql/cached_plans.sql");
        let rows: Vec<Row> = self.pool.rows(DOING, sql, &[]).await?;
        let plans = lines(DOING, &rows, |f| Ok((f.text()?, f.text()?)))?;
        let plans = plans.iter().filter_map(|(text, plan)| {
            let after = text.split_once("-- SqlServerStore::")?.1;
            let statement = after
                .split(|c: char| !c.is_alphanumeric() && c != '_')
                .next()?;
            Some(StatementPlan {
                statement: statement.to_owned(),
                scanned: scanned_tables(plan),
            })
        });
        Ok(plans.collect())
    }

    /// Deleted rows that the engine has not cleaned up. Reads all pages of the tables.
    ///
    /// # Errors
    /// [`StoreError`] where the login lacks VIEW DATABASE STATE, or the engine has no ghosts.
    pub async fn ghost_records(&self) -> Result<GhostRecords, StoreError> {
        const DOING: &str = "count the ghost records";
        let sql = include_str!("sql/ghost_records.sql");
        let row = self.pool.row(DOING, sql, &[]).await?;
        ghost_records(&mut Fields::of(&row)).map_err(|e| unexpected(DOING, e))
    }

    /// Old versions of rows of this database in tempdb, in kilobytes.
    ///
    /// # Errors
    /// [`StoreError`] where the login lacks VIEW SERVER STATE, or the engine has no version store.
    pub async fn version_store_kb(&self) -> Result<i64, StoreError> {
        self.one_number("read the size of the version store", VERSION_STORE_KB)
            .await
    }

    /// Old versions of rows in this database itself, with ACCELERATED_DATABASE_RECOVERY, in kilobytes.
    ///
    /// # Errors
    /// [`StoreError`] where the login lacks VIEW SERVER STATE, or the engine has no such store: before SQL Server 2019.
    pub async fn persistent_version_store_kb(&self) -> Result<i64, StoreError> {
        let doing = "read the size of the persistent version store";
        self.one_number(doing, PERSISTENT_VERSION_STORE_KB).await
    }

    async fn one_number(&self, doing: &'static str, sql: &str) -> Result<i64, StoreError> {
        let row = self.pool.row(doing, sql, &[]).await?;
        Fields::of(&row).get().map_err(|e| unexpected(doing, e))
    }

    /// The log of this database.
    ///
    /// # Errors
    /// [`StoreError`] where the login lacks VIEW DATABASE STATE, or the engine has no such log.
    pub async fn log_usage(&self) -> Result<LogUsage, StoreError> {
        const DOING: &str = "read the use of the log";
        let sql = include_str!("sql/log_usage.sql");
        let row = self.pool.row(DOING, sql, &[]).await?;
        log_usage(&mut Fields::of(&row)).map_err(|e| unexpected(DOING, e))
    }

    /// The secondary replicas of this database and of `other`; `None` where the engine has no availability groups.
    ///
    /// # Errors
    /// [`StoreError`] where the login lacks VIEW SERVER STATE.
    pub async fn replica_queues(&self, other: &str) -> Result<Option<ReplicaQueues>, StoreError> {
        const DOING: &str = "read the queues of replicas";
        let sql = include_str!("sql/replica_queues.sql");
        let row = self.pool.row(DOING, sql, &[&other]).await?;
        replica_queues(&mut Fields::of(&row)).map_err(|e| unexpected(DOING, e))
    }

    /// Deadlocks in which the engine chose a statement of this store, which repeated it.
    pub fn deadlocks(&self) -> u64 {
        self.pool.deadlocks()
    }
}

fn properties(f: &mut Fields<'_>) -> Result<ServerProperties, ColumnError> {
    let (version, edition) = (f.maybe_text()?, f.maybe_text()?);
    let product = f.maybe_text()?;
    let first_line = |text: String| text.lines().next().unwrap_or_default().trim().to_owned();
    let engine_edition = f.maybe()?;
    let (compatibility_level, collation) = (f.maybe()?, f.maybe_text()?);
    Ok(ServerProperties {
        version,
        edition,
        product: product.map(first_line),
        engine_edition,
        compatibility_level,
        collation,
        has_row_versioning: truth(f)?,
        has_accelerated_recovery: None,
        has_optimized_locking: truth(f)?,
    })
}

fn truth(f: &mut Fields<'_>) -> Result<Option<bool>, ColumnError> {
    Ok(f.maybe::<i32>()?.map(|on| on != 0))
}

fn lock_statistics(f: &mut Fields<'_>) -> Result<LockStatistics, ColumnError> {
    Ok(LockStatistics {
        escalations: f.get()?,
        row_waits: f.get()?,
        page_waits: f.get()?,
        wait_ms: f.get()?,
    })
}

fn ghost_records(f: &mut Fields<'_>) -> Result<GhostRecords, ColumnError> {
    Ok(GhostRecords {
        deleted: f.get()?,
        versioned: f.get()?,
    })
}

fn log_usage(f: &mut Fields<'_>) -> Result<LogUsage, ColumnError> {
    Ok(LogUsage {
        reuse_wait: f.text()?,
        used_bytes: f.get()?,
    })
}

fn replica_queues(f: &mut Fields<'_>) -> Result<Option<ReplicaQueues>, ColumnError> {
    let has_groups: i32 = f.get()?;
    let queues = ReplicaQueues {
        replicas: f.get()?,
        send_kb: f.get()?,
        redo_kb: f.get()?,
    };
    Ok((has_groups == 1).then_some(queues))
}

/// The tables of the schema that a showplan document scans. An operator's own object precedes the operators below it.
fn scanned_tables(plan: &str) -> Vec<String> {
    let operators = plan.split("<RelOp ").skip(1);
    let scans = operators.filter(|operator| {
        let physical = attribute(operator, "PhysicalOp").unwrap_or_default();
        physical.ends_with("Scan") && attribute(operator, "Schema") == Some("[sendport]")
    });
    let mut tables: Vec<_> = scans
        .filter_map(|operator| attribute(operator, "Table"))
        .map(|table| table.trim_matches(['[', ']']).to_owned())
        .collect();
    tables.sort();
    tables.dedup();
    tables
}

fn attribute<'a>(element: &'a str, name: &str) -> Option<&'a str> {
    let (_, after) = element.split_once(&format!(" {name}=\""))?;
    after.split('"').next()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Cut from a plan as SQL Server writes it.
    const PLAN: &str = r#"<ShowPlanXML><RelOp NodeId="0" PhysicalOp="Nested Loops" LogicalOp="Inner Join"><NestedLoops>
<RelOp NodeId="1" PhysicalOp="Table Scan" LogicalOp="Table Scan"><TableScan><Object Table="[@ids]" /></TableScan></RelOp>
<RelOp NodeId="2" PhysicalOp="Clustered Index Seek" LogicalOp="Clustered Index Seek"><IndexScan ForceSeek="1">
<Object Database="[d]" Schema="[sendport]" Table="[AlertRow]" Index="[PK_AlertRow]" /></IndexScan></RelOp>
<RelOp NodeId="3" PhysicalOp="Clustered Index Scan" LogicalOp="Clustered Index Scan"><IndexScan>
<Object Database="[d]" Schema="[sendport]" Table="[Recipient]" Index="[PK_Recipient]" /></IndexScan></RelOp>
</NestedLoops></RelOp></ShowPlanXML>"#;

    #[test]
    fn a_scan_is_found_by_its_table_and_a_seek_is_none() {
        assert_eq!(scanned_tables(PLAN), ["Recipient"]);
        assert!(scanned_tables("").is_empty());
    }
}
