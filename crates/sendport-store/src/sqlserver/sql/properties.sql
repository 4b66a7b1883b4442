-- SqlServerStore::properties
-- Answers one row. DATABASEPROPERTYEX answers NULL where it does not know the property.
DECLARE @locking int;
IF SERVERPROPERTY(N'Babelfish') IS NULL
    SET @locking = CAST(DATABASEPROPERTYEX(DB_NAME(), N'IsOptimizedLockingOn') AS int);
SELECT CAST(SERVERPROPERTY(N'ProductVersion') AS nvarchar(128)), CAST(SERVERPROPERTY(N'Edition') AS nvarchar(128)),
       CAST(@@VERSION AS nvarchar(400)), CAST(SERVERPROPERTY(N'EngineEdition') AS int),
       CAST(d.compatibility_level AS int), CAST(d.collation_name AS nvarchar(128)),
       CAST(d.is_read_committed_snapshot_on AS int), @locking
FROM sys.databases d
WHERE d.name = DB_NAME();
