-- SqlServerStore::migrate
-- Answers the owner of the schema, or no row where there is no such schema.
SELECT USER_NAME(principal_id) FROM sys.schemas WHERE schema_id = SCHEMA_ID(N'sendport');
