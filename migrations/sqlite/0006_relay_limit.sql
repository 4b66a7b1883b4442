-- How many connections a relay takes of all instances together, where that was learned from its
-- refusals. 0: one that had none was refused.
CREATE TABLE RelayLimit (
    Relay       TEXT COLLATE RTRIM NOT NULL PRIMARY KEY,
    Connections INTEGER NOT NULL,
    ChangedAt   TEXT NOT NULL,
    InstanceId  TEXT NOT NULL,
    SlowedBy    TEXT NOT NULL,
    CONSTRAINT CK_RelayLimit_Connections CHECK (Connections >= 0)
) STRICT, WITHOUT ROWID;
