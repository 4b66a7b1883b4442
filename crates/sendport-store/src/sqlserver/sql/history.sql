-- SqlServerStore::schema_state, migrate
-- Answers version, name and checksum of each migration; one row with the version -1 and the name of the
-- database user, if the schema exists and this user may not see its tables.
IF OBJECT_ID(N'sendport.SchemaVersion') IS NOT NULL
    SELECT Version, Name, Checksum FROM sendport.SchemaVersion ORDER BY Version;
ELSE IF SCHEMA_ID(N'sendport') IS NOT NULL AND COALESCE(HAS_PERMS_BY_NAME(N'sendport', N'SCHEMA', N'SELECT'), 0) = 0
    SELECT -1, CAST(USER_NAME() AS nvarchar(128)), CAST(N'' AS nvarchar(64));
ELSE
    SELECT CAST(NULL AS int), CAST(NULL AS nvarchar(128)), CAST(NULL AS nvarchar(64)) WHERE 1 = 0;
