-- SqlServerStore::ghost_records
-- Of all tables of the schema, which are read wholly: deleted rows that the engine still has to clean up, and those that
-- a transaction with row versions may still read.
SELECT COALESCE(SUM(s.ghost_record_count), 0), COALESCE(SUM(s.version_ghost_record_count), 0)
FROM sys.dm_db_index_physical_stats(DB_ID(), NULL, NULL, NULL, N'DETAILED') s
JOIN sys.objects o ON o.object_id = s.object_id
WHERE SCHEMA_NAME(o.schema_id) = N'sendport';
