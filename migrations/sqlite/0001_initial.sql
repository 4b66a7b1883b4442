-- The schema of sendport on SQLite. Same names and same life of an alert as on SQL Server,
-- where the tables stand in the schema "sendport"; here they stand in the one file.
--
-- Times are text of exactly one form, YYYY-MM-DDTHH:MM:SS.sssZ (UTC), so that they sort:
--   strftime('%Y-%m-%dT%H:%M:%fZ', 'now', '+1 hour')
--
-- Names and keys are compared without the blanks at their ends (COLLATE RTRIM), as SQL Server does it.

-- What the application asks for. It inserts here and nowhere else; three columns are enough.
CREATE TABLE Alert (
    AlertId         INTEGER PRIMARY KEY AUTOINCREMENT,
    PublicId        TEXT NOT NULL DEFAULT (lower(
                        hex(randomblob(4)) || '-' || hex(randomblob(2)) || '-4' ||
                        substr(hex(randomblob(2)), 2) || '-' ||
                        substr('89ab', 1 + (abs(random()) % 4), 1) || substr(hex(randomblob(2)), 2) ||
                        '-' || hex(randomblob(6)))),
    ToRecipients    TEXT,
    CcRecipients    TEXT,
    BccRecipients   TEXT,
    FromAddress     TEXT,
    ReplyTo         TEXT,
    Subject         TEXT,
    Body            TEXT,
    BodyFormat      TEXT COLLATE RTRIM NOT NULL DEFAULT 'text',
    Template        TEXT COLLATE RTRIM,
    Payload         TEXT,
    Language        TEXT,
    AlertName       TEXT,
    Severity        TEXT,
    Source          TEXT,
    Reference       TEXT COLLATE RTRIM,
    SendPort        TEXT COLLATE RTRIM NOT NULL DEFAULT 'default',
    Priority        TEXT COLLATE RTRIM NOT NULL DEFAULT 'normal',
    Importance      TEXT COLLATE RTRIM NOT NULL DEFAULT 'normal',
    Sensitivity     TEXT COLLATE RTRIM NOT NULL DEFAULT 'normal',
    Headers         TEXT,
    DeliveryReceipt INTEGER NOT NULL DEFAULT 0,
    ReadReceipt     INTEGER NOT NULL DEFAULT 0,
    ReplyBy         TEXT,
    Protection      TEXT COLLATE RTRIM,
    DedupKey        TEXT COLLATE RTRIM,
    NotBefore       TEXT,
    ExpiresAt       TEXT,
    CreatedAt       TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),
    CreatedBy       TEXT NOT NULL DEFAULT 'sqlite',
    CONSTRAINT UQ_Alert_PublicId UNIQUE (PublicId),
    CONSTRAINT CK_Alert_PublicId_of_36_characters CHECK (length(PublicId) = 36),
    CONSTRAINT CK_Alert_BodyFormat_text_or_html CHECK (lower(BodyFormat) COLLATE RTRIM IN ('text', 'html')),
    CONSTRAINT CK_Alert_Priority_urgent_normal_or_low CHECK (Priority IN ('urgent', 'normal', 'low')),
    CONSTRAINT CK_Alert_Importance_low_normal_or_high CHECK (lower(Importance) COLLATE RTRIM IN ('low', 'normal', 'high')),
    CONSTRAINT CK_Alert_Sensitivity_normal_personal_private_or_confidential CHECK (lower(Sensitivity) COLLATE RTRIM IN ('normal', 'personal', 'private', 'confidential')),
    CONSTRAINT "CK_Alert_Protection_none_sign_encrypt_or_sign+encrypt" CHECK (Protection IS NULL OR lower(Protection) COLLATE RTRIM IN ('none', 'sign', 'encrypt', 'sign+encrypt')),
    CONSTRAINT CK_Alert_DeliveryReceipt_0_or_1 CHECK (DeliveryReceipt IN (0, 1)),
    CONSTRAINT CK_Alert_ReadReceipt_0_or_1 CHECK (ReadReceipt IN (0, 1)),
    CONSTRAINT CK_Alert_Subject_at_most_998_characters CHECK (length(Subject) <= 998),
    CONSTRAINT CK_Alert_FromAddress_at_most_1000_characters CHECK (length(FromAddress) <= 1000),
    CONSTRAINT CK_Alert_ReplyTo_at_most_1000_characters CHECK (length(ReplyTo) <= 1000),
    CONSTRAINT CK_Alert_Template_at_most_128_characters CHECK (length(Template) <= 128),
    CONSTRAINT CK_Alert_Language_at_most_35_characters CHECK (length(Language) <= 35),
    CONSTRAINT CK_Alert_AlertName_at_most_128_characters CHECK (length(AlertName) <= 128),
    CONSTRAINT CK_Alert_Severity_at_most_32_characters CHECK (length(Severity) <= 32),
    CONSTRAINT CK_Alert_Source_at_most_128_characters CHECK (length(Source) <= 128),
    CONSTRAINT CK_Alert_Reference_at_most_200_characters CHECK (length(Reference) <= 200),
    CONSTRAINT CK_Alert_SendPort_at_most_64_characters CHECK (length(SendPort) <= 64),
    CONSTRAINT CK_Alert_DedupKey_at_most_200_characters CHECK (length(DedupKey) <= 200),
    CONSTRAINT CK_Alert_ReplyBy_like_2026_01_31T12_00_00_000Z CHECK (ReplyBy GLOB
        '[0-9][0-9][0-9][0-9]-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9].[0-9][0-9][0-9]Z'),
    CONSTRAINT CK_Alert_NotBefore_like_2026_01_31T12_00_00_000Z CHECK (NotBefore GLOB
        '[0-9][0-9][0-9][0-9]-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9].[0-9][0-9][0-9]Z'),
    CONSTRAINT CK_Alert_ExpiresAt_like_2026_01_31T12_00_00_000Z CHECK (ExpiresAt GLOB
        '[0-9][0-9][0-9][0-9]-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9].[0-9][0-9][0-9]Z'),
    CONSTRAINT CK_Alert_CreatedAt_like_2026_01_31T12_00_00_000Z CHECK (CreatedAt GLOB
        '[0-9][0-9][0-9][0-9]-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9].[0-9][0-9][0-9]Z')
) STRICT;

CREATE INDEX IX_Alert_Reference ON Alert (Reference) WHERE Reference IS NOT NULL;

-- What the service knows of an alert, apart from it: a status change never rewrites a body.
CREATE TABLE AlertState (
    AlertId         INTEGER PRIMARY KEY REFERENCES Alert (AlertId) ON DELETE CASCADE,
    SendPort        TEXT COLLATE RTRIM NOT NULL,
    Priority        TEXT COLLATE RTRIM NOT NULL,
    Status          TEXT NOT NULL DEFAULT 'queued',
    StatusAt        TEXT NOT NULL,
    StatusReason    TEXT,
    -- The one column that decides: it can be claimed when DueAt <= now. NULL while leased,
    -- while held, and when final.
    DueAt           TEXT,
    -- A copy of Alert.ExpiresAt, NULL once final.
    ExpiresAt       TEXT,
    CreatedAt       TEXT NOT NULL,
    LeaseToken      TEXT,
    LeaseOwner      TEXT,
    LeasedAt        TEXT,
    AttemptCount    INTEGER NOT NULL DEFAULT 0,
    TemplateVersion TEXT,
    FinalAt         TEXT,
    CONSTRAINT CK_AlertState_Status CHECK (Status IN ('queued', 'sending', 'delayed', 'held', 'relayed',
        'partial', 'failed', 'expired', 'cancelled', 'suppressed')),
    CONSTRAINT CK_AlertState_DueAt CHECK (DueAt GLOB
        '[0-9][0-9][0-9][0-9]-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9].[0-9][0-9][0-9]Z')
) STRICT;

-- Each index holds live (or failed) rows only, so finished ones cost nothing.
CREATE INDEX IX_AlertState_Due ON AlertState (SendPort, Priority, DueAt) WHERE DueAt IS NOT NULL;
CREATE INDEX IX_AlertState_LeaseOwner ON AlertState (LeaseOwner) WHERE LeaseOwner IS NOT NULL;
CREATE INDEX IX_AlertState_Live ON AlertState (SendPort, Status, CreatedAt) WHERE FinalAt IS NULL;
CREATE INDEX IX_AlertState_Failed ON AlertState (Status, StatusAt) WHERE Status IN ('failed', 'expired');
CREATE INDEX IX_AlertState_ExpiresAt ON AlertState (ExpiresAt) WHERE ExpiresAt IS NOT NULL;

CREATE TRIGGER TR_Alert_Insert AFTER INSERT ON Alert
BEGIN
    INSERT INTO AlertState (AlertId, SendPort, Priority, StatusAt, DueAt, ExpiresAt, CreatedAt)
    VALUES (NEW.AlertId, NEW.SendPort, NEW.Priority, NEW.CreatedAt,
            max(coalesce(NEW.NotBefore, NEW.CreatedAt), NEW.CreatedAt), NEW.ExpiresAt, NEW.CreatedAt);
END;

-- An alert that was claimed is the same in every attempt, and what became of it stays true.
CREATE TRIGGER TR_Alert_Update BEFORE UPDATE ON Alert
WHEN NOT EXISTS (SELECT 1 FROM AlertState s
                 WHERE s.AlertId = OLD.AlertId AND s.Status = 'queued' AND s.AttemptCount = 0)
BEGIN
    SELECT RAISE(ABORT, 'an alert that was claimed cannot be changed: insert a new one');
END;

-- The service goes by copies of these, which TR_Alert_Insert made.
CREATE TRIGGER TR_Alert_Update_Copied BEFORE UPDATE ON Alert
WHEN (NEW.AlertId, NEW.SendPort, NEW.Priority, NEW.NotBefore, NEW.ExpiresAt, NEW.CreatedAt)
    IS NOT (OLD.AlertId, OLD.SendPort, OLD.Priority, OLD.NotBefore, OLD.ExpiresAt, OLD.CreatedAt)
BEGIN
    SELECT RAISE(ABORT, 'AlertId, SendPort, Priority, NotBefore, ExpiresAt and CreatedAt count as they were inserted and cannot be changed: cancel the alert and insert a new one');
END;

-- One addressee of one alert: the truth about delivery.
CREATE TABLE Recipient (
    AlertId            INTEGER NOT NULL REFERENCES Alert (AlertId) ON DELETE CASCADE,
    Ordinal            INTEGER NOT NULL,
    Kind               TEXT NOT NULL,
    Address            TEXT NOT NULL,
    DisplayName        TEXT,
    Status             TEXT NOT NULL,
    StatusAt           TEXT NOT NULL,
    AttemptCount       INTEGER NOT NULL DEFAULT 0,
    Relay              TEXT,
    Command            TEXT,
    ReplyCode          INTEGER,
    EnhancedStatusCode TEXT,
    ReplyText          TEXT,
    ExplanationKey     TEXT,
    PRIMARY KEY (AlertId, Ordinal),
    CONSTRAINT CK_Recipient_Kind CHECK (Kind IN ('to', 'cc', 'bcc')),
    CONSTRAINT CK_Recipient_Status CHECK (Status IN ('queued', 'delayed', 'relayed', 'failed', 'expired',
        'cancelled', 'suppressed'))
) STRICT, WITHOUT ROWID;

CREATE INDEX IX_Recipient_Failed ON Recipient (Status, StatusAt) WHERE Status IN ('failed', 'expired');

-- One mail transaction, written once at its end.
CREATE TABLE Attempt (
    AttemptId       INTEGER PRIMARY KEY AUTOINCREMENT,
    AttemptKey      TEXT NOT NULL,
    AlertId         INTEGER NOT NULL REFERENCES Alert (AlertId) ON DELETE CASCADE,
    AttemptNumber   INTEGER NOT NULL,
    Outcome         TEXT NOT NULL,
    InstanceId      TEXT,
    Relay           TEXT,
    StartedAt       TEXT,
    EndedAt         TEXT NOT NULL,
    MessageId       TEXT,
    SizeOctets      INTEGER,
    Protection      TEXT,
    RemoteAddress   TEXT,
    ServerName      TEXT,
    TlsVersion      TEXT,
    TlsCipher       TEXT,
    PeerFingerprint TEXT,
    AuthMechanism   TEXT,
    CONSTRAINT UQ_Attempt_AttemptKey UNIQUE (AttemptKey),
    CONSTRAINT CK_Attempt_Outcome CHECK (Outcome IN ('relayed', 'partial', 'delayed', 'failed', 'unknown'))
) STRICT;

CREATE INDEX IX_Attempt_AlertId ON Attempt (AlertId);

-- What the relay said to each command of an attempt.
CREATE TABLE AttemptReply (
    AttemptId          INTEGER NOT NULL REFERENCES Attempt (AttemptId) ON DELETE CASCADE,
    Ordinal            INTEGER NOT NULL,
    Command            TEXT NOT NULL,
    RecipientOrdinal   INTEGER,
    ReplyCode          INTEGER NOT NULL,
    EnhancedStatusCode TEXT,
    ReplyText          TEXT NOT NULL,
    PRIMARY KEY (AttemptId, Ordinal)
) STRICT, WITHOUT ROWID;

-- What was said of one recipient, among thousands of replies.
CREATE INDEX IX_AttemptReply_Recipient ON AttemptReply (AttemptId, RecipientOrdinal);

-- Why a server says such a thing, and what to do. The service fills it.
CREATE TABLE ReplyExplanation (
    ExplanationKey TEXT PRIMARY KEY,
    Fault          TEXT NOT NULL,
    Cause          TEXT NOT NULL,
    Advice         TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- One run of the service. All its leases last until LeaseUntil.
CREATE TABLE Instance (
    InstanceId TEXT PRIMARY KEY,
    Name       TEXT NOT NULL,
    HostName   TEXT NOT NULL,
    ProcessId  INTEGER NOT NULL,
    Version    TEXT NOT NULL,
    StartedAt  TEXT NOT NULL,
    RenewedAt  TEXT NOT NULL,
    LeaseUntil TEXT NOT NULL,
    StoppedAt  TEXT,
    -- Why it sends nothing now; NULL while nothing keeps it from that.
    WaitingFor TEXT,
    -- Outcomes in its state folder that could not be recorded here.
    UnrecordedCount INTEGER NOT NULL DEFAULT 0,
    UnrecordedSince TEXT,
    -- Alerts that are due and whose rows the database refuses to change.
    UnclaimedCount INTEGER NOT NULL DEFAULT 0,
    UnclaimedSince TEXT
) STRICT, WITHOUT ROWID;

-- The send ports of the configuration, shown here; changing a row changes nothing.
CREATE TABLE SendPort (
    Name          TEXT COLLATE RTRIM PRIMARY KEY,
    FromAddress   TEXT NOT NULL,
    Protection    TEXT NOT NULL,
    MaxAgeSeconds INTEGER NOT NULL,
    LastSeenAt    TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- Its relays, in the order in which they are tried.
CREATE TABLE SendPortRelay (
    SendPort TEXT COLLATE RTRIM NOT NULL REFERENCES SendPort (Name) ON DELETE CASCADE,
    Ordinal  INTEGER NOT NULL,
    Relay    TEXT COLLATE RTRIM NOT NULL,
    PRIMARY KEY (SendPort, Ordinal)
) STRICT, WITHOUT ROWID;

-- What each instance knows of each relay.
CREATE TABLE RelayState (
    InstanceId     TEXT NOT NULL REFERENCES Instance (InstanceId) ON DELETE CASCADE,
    Relay          TEXT COLLATE RTRIM NOT NULL,
    Condition      TEXT NOT NULL,
    Since          TEXT NOT NULL,
    RetryAt        TEXT,
    Reply          TEXT,
    ExplanationKey TEXT,
    PRIMARY KEY (InstanceId, Relay),
    CONSTRAINT CK_RelayState_Condition CHECK (Condition IN ('closed', 'open', 'half_open', 'paused'))
) STRICT, WITHOUT ROWID;

-- What an operator should know, beside the service's log.
CREATE TABLE EventLog (
    EventId    INTEGER PRIMARY KEY AUTOINCREMENT,
    LoggedAt   TEXT NOT NULL,
    Severity   TEXT NOT NULL,
    EventType  TEXT NOT NULL,
    InstanceId TEXT,
    AlertId    INTEGER,
    SendPort   TEXT COLLATE RTRIM,
    Relay      TEXT COLLATE RTRIM,
    Message    TEXT NOT NULL,
    CONSTRAINT CK_EventLog_Severity CHECK (Severity IN ('information', 'warning', 'error'))
) STRICT;

-- One row: which environment this database belongs to. A service that is configured for
-- another one refuses to run, so that a restored copy mails nobody.
CREATE TABLE Environment (
    EnvironmentId INTEGER PRIMARY KEY CHECK (EnvironmentId = 1),
    Name          TEXT COLLATE RTRIM NOT NULL,
    AdoptedAt     TEXT NOT NULL
) STRICT;

-- One line a recipient: status, what the relay said, why, and what to do.
CREATE VIEW Delivery AS
SELECT r.AlertId, a.PublicId, a.Reference, a.SendPort, r.Ordinal, r.Kind, r.Address, r.DisplayName,
       r.Status, r.StatusAt, r.AttemptCount,
       CASE WHEN r.Status IN ('queued', 'delayed') THEN s.DueAt END AS NextAttemptAt,
       r.Relay, r.Command, r.ReplyCode, r.EnhancedStatusCode, r.ReplyText,
       e.Fault, e.Cause, e.Advice, a.Subject, a.CreatedAt, a.CreatedBy
FROM Recipient r
JOIN Alert a ON a.AlertId = r.AlertId
JOIN AlertState s ON s.AlertId = r.AlertId
LEFT JOIN ReplyExplanation e ON e.ExplanationKey = r.ExplanationKey;

-- One line an alert.
CREATE VIEW AlertStatus AS
SELECT a.AlertId, a.PublicId, a.Reference, a.Source, a.AlertName, a.Severity, a.Subject, a.SendPort, a.Priority,
       s.Status, s.StatusAt, s.StatusReason, s.AttemptCount, s.DueAt AS NextAttemptAt,
       (SELECT count(*) FROM Recipient r WHERE r.AlertId = a.AlertId) AS RecipientCount,
       (SELECT count(*) FROM Recipient r WHERE r.AlertId = a.AlertId AND r.Status = 'relayed') AS RelayedCount,
       (SELECT count(*) FROM Recipient r WHERE r.AlertId = a.AlertId AND r.Status IN ('queued', 'delayed')) AS WaitingCount,
       (SELECT count(*) FROM Recipient r WHERE r.AlertId = a.AlertId AND r.Status IN ('failed', 'expired')) AS FailedCount,
       s.FinalAt, a.CreatedAt, a.CreatedBy
FROM Alert a
JOIN AlertState s ON s.AlertId = a.AlertId;

-- What failed or expired, with the reason; an alert without a readable recipient stands here too.
CREATE VIEW FailedDelivery AS
SELECT a.AlertId, a.PublicId, a.Reference, a.SendPort, r.Ordinal, r.Kind, r.Address, r.Status, r.StatusAt,
       r.Relay, r.Command, r.ReplyCode, r.EnhancedStatusCode, r.ReplyText AS Reason, e.Fault, e.Cause, e.Advice,
       a.Subject, a.CreatedAt, a.CreatedBy
FROM Recipient r
JOIN Alert a ON a.AlertId = r.AlertId
LEFT JOIN ReplyExplanation e ON e.ExplanationKey = r.ExplanationKey
WHERE r.Status IN ('failed', 'expired')
UNION ALL
SELECT a.AlertId, a.PublicId, a.Reference, a.SendPort, NULL, NULL, NULL, s.Status, s.StatusAt,
       NULL, NULL, NULL, NULL, s.StatusReason, NULL, NULL, NULL,
       a.Subject, a.CreatedAt, a.CreatedBy
FROM AlertState s
JOIN Alert a ON a.AlertId = s.AlertId
WHERE s.Status IN ('failed', 'expired')
  AND NOT EXISTS (SELECT 1 FROM Recipient r WHERE r.AlertId = s.AlertId);

-- Depth and oldest age by send port and status of what is not final, and why nothing moves.
CREATE VIEW Queue AS
SELECT q.SendPort, q.Status, q.Depth, q.OldestAt,
       CAST(round((julianday('now') - julianday(q.OldestAt)) * 86400) AS INTEGER) AS OldestAgeSeconds,
       q.NextDueAt,
       CASE
           WHEN q.Status = 'sending' THEN NULL
           WHEN q.Status = 'held' THEN 'held by an operator until released'
           WHEN NOT EXISTS (SELECT 1 FROM Instance i WHERE i.StoppedAt IS NULL
                            AND i.LeaseUntil > strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))
               THEN 'no instance of the service is running'
           WHEN NOT EXISTS (SELECT 1 FROM SendPort p WHERE p.Name = q.SendPort
                            AND p.LastSeenAt > strftime('%Y-%m-%dT%H:%M:%fZ', 'now', '-2 minutes'))
               THEN 'no running instance has a send port of this name'
           WHEN NOT EXISTS (SELECT 1 FROM SendPortRelay pr
                            JOIN RelayState rs ON rs.Relay = pr.Relay
                            JOIN Instance i ON i.InstanceId = rs.InstanceId
                            WHERE pr.SendPort = q.SendPort AND rs.Condition = 'closed' AND i.StoppedAt IS NULL
                              AND i.LeaseUntil > strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))
               THEN (SELECT 'relay ' || rs.Relay || ' ' || CASE rs.Condition WHEN 'paused' THEN 'paused' ELSE 'unavailable' END ||
                            ' since ' || rs.Since || coalesce(', tried again at ' || rs.RetryAt, '') || coalesce(': ' || rs.Reply, '')
                     FROM SendPortRelay pr
                     JOIN RelayState rs ON rs.Relay = pr.Relay
                     JOIN Instance i ON i.InstanceId = rs.InstanceId
                     WHERE pr.SendPort = q.SendPort AND i.StoppedAt IS NULL
                     ORDER BY pr.Ordinal, rs.Since LIMIT 1)
           WHEN q.NextDueAt > strftime('%Y-%m-%dT%H:%M:%fZ', 'now') THEN 'due at ' || q.NextDueAt
       END AS WaitingFor
FROM (SELECT SendPort, Status, count(*) AS Depth, min(CreatedAt) AS OldestAt, min(DueAt) AS NextDueAt
      FROM AlertState WHERE FinalAt IS NULL GROUP BY SendPort, Status) q;
