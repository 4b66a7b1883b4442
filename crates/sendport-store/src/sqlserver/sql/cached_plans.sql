-- SqlServerStore::cached_plans
-- Answers the text and the plan of each statement that this database has executed.
SELECT t.text, CAST(p.query_plan AS nvarchar(max))
FROM sys.dm_exec_cached_plans c
CROSS APPLY sys.dm_exec_sql_text(c.plan_handle) t
CROSS APPLY sys.dm_exec_query_plan(c.plan_handle) p
WHERE p.dbid = DB_ID() AND p.query_plan IS NOT NULL;
