-- SqlServerStore::create_like, connected to master
-- @P1 name, @P2 collation or ''.
DECLARE @statement nvarchar(800) = N'CREATE DATABASE ' + QUOTENAME(@P1);
IF @P2 <> N''
    SET @statement = @statement + N' COLLATE ' + @P2;
EXEC (@statement);
