-- schema_state, migrate: what was applied.
SELECT Version, Checksum FROM SchemaVersion ORDER BY Version
