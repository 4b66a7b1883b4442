-- SqlServerStore::log_usage
-- Why the log of this database cannot be truncated now, and how much of it is in use, in bytes.
SELECT CAST(d.log_reuse_wait_desc AS nvarchar(60)), CAST(u.used_log_space_in_bytes AS bigint)
FROM sys.databases d
CROSS JOIN sys.dm_db_log_space_usage u
WHERE d.name = DB_NAME();
