-- SqlServerStore::lock_statistics
-- Of the tables of the schema since the server started. Answers lock escalations, waits for row locks and for page
-- locks, and how long these took together, in milliseconds.
SELECT COALESCE(SUM(s.index_lock_promotion_count), 0), COALESCE(SUM(s.row_lock_wait_count), 0),
       COALESCE(SUM(s.page_lock_wait_count), 0), COALESCE(SUM(s.row_lock_wait_in_ms + s.page_lock_wait_in_ms), 0)
FROM sys.dm_db_index_operational_stats(DB_ID(), NULL, NULL, NULL) s
JOIN sys.objects o ON o.object_id = s.object_id
WHERE SCHEMA_NAME(o.schema_id) = N'sendport';
