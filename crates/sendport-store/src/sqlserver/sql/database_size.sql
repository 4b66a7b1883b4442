-- SqlServerStore::database_size
-- Answers the bytes of the data files where the edition is Express, which limits them; else nothing.
SELECT SUM(CAST(f.size AS bigint)) * 8192
FROM sys.database_files f
WHERE f.type = 0 AND CAST(SERVERPROPERTY(N'EngineEdition') AS int) = 4 AND SERVERPROPERTY(N'Babelfish') IS NULL
HAVING COUNT(*) > 0;
