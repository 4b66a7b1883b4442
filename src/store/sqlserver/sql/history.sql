-- SqlServerStore::schema_state, migrate
-- Answers version and checksum of each migration; one row with the version -1 and the name of the
-- database's user, where there is a schema whose tables this user may not see.
IF OBJECT_ID(N'sendport.SchemaVersion') IS NOT NULL
    SELECT Version, Checksum FROM sendport.SchemaVersion ORDER BY Version;
ELSE IF SCHEMA_ID(N'sendport') IS NOT NULL AND COALESCE(HAS_PERMS_BY_NAME(N'sendport', N'SCHEMA', N'SELECT'), 0) = 0
    SELECT -1, CAST(USER_NAME() AS nvarchar(128));
ELSE
    SELECT CAST(NULL AS int), CAST(NULL AS nvarchar(64)) WHERE 1 = 0;
