-- SqlServerStore::drop_database, connected to master
-- @P1 name. Others may be connected still.
DECLARE @statement nvarchar(800);
IF DB_ID(@P1) IS NOT NULL
BEGIN
    IF SERVERPROPERTY(N'Babelfish') IS NULL AND SERVERPROPERTY(N'EngineEdition') <> 5
    BEGIN
        SET @statement = N'ALTER DATABASE ' + QUOTENAME(@P1) + N' SET SINGLE_USER WITH ROLLBACK IMMEDIATE';
        EXEC (@statement);
    END;
    SET @statement = N'DROP DATABASE ' + QUOTENAME(@P1);
    EXEC (@statement);
END;
