-- migrate: one migration was applied.
INSERT INTO SchemaVersion (Version, Name, Checksum, AppliedAt) VALUES (?1, ?2, ?3, ?4)
