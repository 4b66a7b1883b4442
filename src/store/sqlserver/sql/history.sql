-- SqlServerStore::schema_state, migrate
IF OBJECT_ID(N'sendport.SchemaVersion') IS NULL
    SELECT CAST(NULL AS int), CAST(NULL AS nvarchar(64)) WHERE 1 = 0;
ELSE
    SELECT Version, Checksum FROM sendport.SchemaVersion ORDER BY Version;
