-- The history of migrations.
CREATE TABLE IF NOT EXISTS SchemaVersion (
    Version   INTEGER PRIMARY KEY,
    Name      TEXT NOT NULL,
    Checksum  TEXT NOT NULL,
    AppliedAt TEXT NOT NULL
) STRICT
