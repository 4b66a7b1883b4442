-- SqlServerStore::create_database, connected to master
-- @P1 name. Answers 1 if it was created.
DECLARE @statement nvarchar(400) = N'CREATE DATABASE ' + QUOTENAME(@P1);
IF DB_ID(@P1) IS NULL
BEGIN
    EXEC (@statement);
    SELECT 1;
END
ELSE
    SELECT 0;
