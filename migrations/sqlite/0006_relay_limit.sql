-- How many connections a relay takes of all instances together, where that was learned from its
-- refusals. 0: one that had none was refused.
CREATE TABLE RelayLimit (
    Relay       TEXT COLLATE RTRIM NOT NULL PRIMARY KEY,
    Connections INTEGER NOT NULL,
    ChangedAt   TEXT NOT NULL,
    InstanceId  TEXT NOT NULL,
    ThrottledBy    TEXT NOT NULL,
    CONSTRAINT CK_RelayLimit_Connections CHECK (Connections >= 0)
) STRICT, WITHOUT ROWID;

-- How many recipients of one transaction a relay takes, where that was learned. PauseSeconds after
-- LearnedAt it is twice as many, and after each further pause again twice as many; after eight
-- pauses the row counts no more.
CREATE TABLE RelayRecipients (
    Relay        TEXT COLLATE RTRIM NOT NULL PRIMARY KEY,
    Recipients   INTEGER NOT NULL,
    PauseSeconds INTEGER NOT NULL,
    LearnedAt    TEXT NOT NULL,
    InstanceId   TEXT NOT NULL,
    CONSTRAINT CK_RelayRecipients_Recipients CHECK (Recipients > 0),
    CONSTRAINT CK_RelayRecipients_PauseSeconds CHECK (PauseSeconds > 0)
) STRICT, WITHOUT ROWID;

-- The last connection of a relay that ended among the recipients of a transaction. Where another
-- one ends behind the same number of them, at any instance, so many are learned.
CREATE TABLE RelayConnectionEnd (
    Relay      TEXT COLLATE RTRIM NOT NULL PRIMARY KEY,
    Recipients INTEGER NOT NULL,
    EndedAt    TEXT NOT NULL,
    InstanceId TEXT NOT NULL,
    CONSTRAINT CK_RelayConnectionEnd_Recipients CHECK (Recipients > 0)
) STRICT, WITHOUT ROWID;

-- Relays that refuse everything because a limit is reached. Of all instances the one that moves
-- RetryAt probes; WaitSeconds is the interval from that probe to RetryAt, and doubles
-- with each alert that probes for the first time: ProbedBy has them as ,4711,4712, and no more at the end.
CREATE TABLE RelayThrottle (
    Relay       TEXT COLLATE RTRIM NOT NULL PRIMARY KEY,
    ThrottledAt TEXT NOT NULL,
    WaitSeconds INTEGER NOT NULL,
    RetryAt     TEXT NOT NULL,
    Reply       TEXT NOT NULL,
    ProbedBy    TEXT NOT NULL,
    CONSTRAINT CK_RelayThrottle_WaitSeconds CHECK (WaitSeconds > 0)
) STRICT, WITHOUT ROWID;
