//! What `sendport verify` asks of a database engine, beside the traits of a store.

/// Properties of a server and of one of its databases. `None`: this engine does not have it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ServerProperties {
    /// `SERVERPROPERTY('ProductVersion')`.
    pub version: Option<String>,
    /// `SERVERPROPERTY('Edition')`.
    pub edition: Option<String>,
    /// The first line of `@@VERSION`.
    pub product: Option<String>,
    /// `SERVERPROPERTY('EngineEdition')`: 4 is Express, 5 Azure SQL Database.
    pub engine_edition: Option<i32>,
    /// Of the database.
    pub compatibility_level: Option<i32>,
    /// Of the database.
    pub collation: Option<String>,
    /// `READ_COMMITTED_SNAPSHOT` of the database.
    pub has_row_versioning: Option<bool>,
    /// `ACCELERATED_DATABASE_RECOVERY` of the database.
    pub has_accelerated_recovery: Option<bool>,
    /// `OPTIMIZED_LOCKING` of the database.
    pub has_optimized_locking: Option<bool>,
}

/// Locks on the tables of the schema since the server started.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LockStatistics {
    /// Row locks that became a table lock.
    pub escalations: i64,
    /// Waits for row locks.
    pub row_waits: i64,
    /// Waits for page locks.
    pub page_waits: i64,
    /// How long all of them took, in milliseconds.
    pub wait_ms: i64,
}

/// How one statement reads a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatementPlan {
    /// The method that runs the statement, as the first line of its text says: `claim`, `record`, ...
    pub statement: String,
    /// The tables that the plan scans instead of seeking.
    pub scanned: Vec<String>,
}

/// Deleted rows that the engine has not cleaned up yet.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct GhostRecords {
    /// Those that nobody needs.
    pub deleted: i64,
    /// Those that a transaction with row versions may still read.
    pub versioned: i64,
}

/// The log of a database.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LogUsage {
    /// `sys.databases.log_reuse_wait_desc`: why it cannot be truncated; `NOTHING` if it can.
    pub reuse_wait: String,
    /// Bytes in use.
    pub used_bytes: i64,
}

/// The secondary replicas of databases in availability groups.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ReplicaQueues {
    /// How many there are.
    pub replicas: i64,
    /// Most kilobytes of log that one has not received.
    pub send_kb: i64,
    /// Most kilobytes of log that one has not redone.
    pub redo_kb: i64,
}
