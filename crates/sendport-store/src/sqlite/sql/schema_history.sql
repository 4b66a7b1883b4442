-- schema_state, migrate: what was applied.
SELECT Version, Name, Checksum FROM SchemaVersion ORDER BY Version
