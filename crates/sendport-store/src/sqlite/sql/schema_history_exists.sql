-- schema_state: is there anything of ours?
SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = 'SchemaVersion'
