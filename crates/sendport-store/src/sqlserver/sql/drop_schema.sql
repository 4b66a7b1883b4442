-- SqlServerStore::drop_schema
-- Answers the statements that drop everything in the schema, in an order that works.
SELECT x.Statement
FROM (
    SELECT 1 AS Step, f.name AS Name,
           N'ALTER TABLE sendport.' + QUOTENAME(OBJECT_NAME(f.parent_object_id)) + N' DROP CONSTRAINT ' + QUOTENAME(f.name) AS Statement
    FROM sys.foreign_keys f WHERE f.schema_id = SCHEMA_ID(N'sendport')
    UNION ALL
    SELECT CASE o.type WHEN 'P' THEN 2 WHEN 'V' THEN 4 WHEN 'U' THEN 5 ELSE 3 END, o.name,
           CASE o.type WHEN 'P' THEN N'DROP PROCEDURE sendport.' WHEN 'V' THEN N'DROP VIEW sendport.'
                       WHEN 'U' THEN N'DROP TABLE sendport.' ELSE N'DROP FUNCTION sendport.' END + QUOTENAME(o.name)
    FROM sys.objects o
    WHERE o.schema_id = SCHEMA_ID(N'sendport') AND o.type IN ('P', 'V', 'U', 'TF', 'IF', 'FN')
    UNION ALL
    SELECT 6, t.name, N'DROP TYPE sendport.' + QUOTENAME(t.name)
    FROM sys.table_types t WHERE t.schema_id = SCHEMA_ID(N'sendport')
    UNION ALL
    SELECT 7, p.name, N'DROP ROLE ' + QUOTENAME(p.name)
    FROM sys.database_principals p WHERE p.type = 'R' AND LEFT(p.name, 9) = N'sendport_'
    UNION ALL
    SELECT 8, s.name, N'DROP SCHEMA sendport' FROM sys.schemas s WHERE s.name = N'sendport'
) x
ORDER BY x.Step, x.Name;
