-- Spool::open
-- NORMAL: in this mode a commit costs no fsync, and survives the death of the process.
PRAGMA journal_mode = WAL;
PRAGMA synchronous = NORMAL;
PRAGMA busy_timeout = 2000;
CREATE TABLE IF NOT EXISTS Owner (
    InstanceId TEXT PRIMARY KEY,
    Database   TEXT NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS Work (
    AlertId INTEGER NOT NULL,
    Token   TEXT NOT NULL,
    -- What would be written if nobody sees the end of the final dot.
    Note    TEXT,
    -- What came of it.
    Outcome TEXT,
    PRIMARY KEY (AlertId, Token)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS Synced (
    Id    INTEGER PRIMARY KEY CHECK (Id = 1),
    Count INTEGER NOT NULL
) STRICT;
