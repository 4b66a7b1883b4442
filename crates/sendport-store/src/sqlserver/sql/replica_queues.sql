-- SqlServerStore::replica_queues
-- @P1 another database. Answers 1 if the engine has availability groups; then, of this database and of the other one
-- together, how many secondary replicas there are, and the most kilobytes that one of them has still to receive and to
-- redo.
SELECT CASE WHEN SERVERPROPERTY(N'Babelfish') IS NULL THEN 1 ELSE 0 END,
       CAST(COUNT(*) AS bigint), CAST(COALESCE(MAX(r.log_send_queue_size), 0) AS bigint),
       CAST(COALESCE(MAX(r.redo_queue_size), 0) AS bigint)
FROM sys.dm_hadr_database_replica_states r
WHERE r.database_id IN (DB_ID(), DB_ID(@P1)) AND r.is_primary_replica = 0;
