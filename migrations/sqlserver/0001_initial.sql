-- The schema of sendport on SQL Server 2017 and later, Azure SQL Database, and engines that
-- speak T-SQL. Run it in sqlcmd or Management Studio; "sendport migrate --print" adds the lock
-- and the history row.
--
-- An application inserts into the view sendport.Alert. No trigger, filtered index, indexed
-- view or indexed computed column stands on the table behind it: an insert works whatever SET
-- options the application's connection has.
SET QUOTED_IDENTIFIER ON;
SET ANSI_NULLS ON;
GO
IF SCHEMA_ID(N'sendport') IS NULL EXEC (N'CREATE SCHEMA sendport');
GO
-- What the application asks for, and (from Status on) what the service knows of it. Nobody but
-- the service writes here; applications have the view Alert. A body longer than 8,000 bytes
-- stands off the row, so that a status change does not rewrite it.
CREATE TABLE sendport.AlertRow (
    AlertId         bigint IDENTITY(1, 1) NOT NULL,
    PublicId        uniqueidentifier NOT NULL CONSTRAINT DF_Alert_PublicId DEFAULT NEWID(),
    ToRecipients    nvarchar(max) NULL,
    CcRecipients    nvarchar(max) NULL,
    BccRecipients   nvarchar(max) NULL,
    FromAddress     nvarchar(1000) NULL,
    ReplyTo         nvarchar(1000) NULL,
    Subject         nvarchar(998) NULL,
    Body            nvarchar(max) NULL,
    BodyFormat      nvarchar(16) COLLATE Latin1_General_BIN2 NOT NULL CONSTRAINT DF_Alert_BodyFormat DEFAULT N'text',
    Template        nvarchar(128) COLLATE Latin1_General_BIN2 NULL,
    Payload         nvarchar(max) NULL,
    Language        nvarchar(35) NULL,
    AlertName       nvarchar(128) NULL,
    Severity        nvarchar(32) NULL,
    Source          nvarchar(128) NULL,
    Reference       nvarchar(200) COLLATE Latin1_General_BIN2 NULL,
    SendPort        nvarchar(64) COLLATE Latin1_General_BIN2 NOT NULL CONSTRAINT DF_Alert_SendPort DEFAULT N'default',
    Priority        nvarchar(16) COLLATE Latin1_General_BIN2 NOT NULL CONSTRAINT DF_Alert_Priority DEFAULT N'normal',
    Importance      nvarchar(16) COLLATE Latin1_General_BIN2 NOT NULL CONSTRAINT DF_Alert_Importance DEFAULT N'normal',
    Sensitivity     nvarchar(16) COLLATE Latin1_General_BIN2 NOT NULL CONSTRAINT DF_Alert_Sensitivity DEFAULT N'normal',
    Headers         nvarchar(max) NULL,
    DeliveryReceipt bit NOT NULL CONSTRAINT DF_Alert_DeliveryReceipt DEFAULT 0,
    ReadReceipt     bit NOT NULL CONSTRAINT DF_Alert_ReadReceipt DEFAULT 0,
    ReplyBy         datetime2(3) NULL,
    Protection      nvarchar(16) COLLATE Latin1_General_BIN2 NULL,
    DedupKey        nvarchar(200) COLLATE Latin1_General_BIN2 NULL,
    NotBefore       datetime2(3) NULL,
    ExpiresAt       datetime2(3) NULL,
    CreatedAt       datetime2(3) NOT NULL CONSTRAINT DF_Alert_CreatedAt DEFAULT SYSUTCDATETIME(),
    CreatedBy       nvarchar(128) NOT NULL CONSTRAINT DF_Alert_CreatedBy DEFAULT SUSER_SNAME(),
    Status          nvarchar(16) COLLATE Latin1_General_BIN2 NOT NULL CONSTRAINT DF_AlertState_Status DEFAULT N'queued',
    StatusAt        datetime2(3) NOT NULL CONSTRAINT DF_AlertState_StatusAt DEFAULT SYSUTCDATETIME(),
    StatusReason    nvarchar(max) NULL,
    -- The one column that decides: it can be claimed when DueAt <= now. NULL while leased,
    -- while held, and when final. A claim that meets a row before its NotBefore moves it there.
    DueAt           datetime2(3) NULL CONSTRAINT DF_AlertState_DueAt DEFAULT SYSUTCDATETIME(),
    LeaseToken      uniqueidentifier NULL,
    LeaseOwner      uniqueidentifier NULL,
    LeasedAt        datetime2(3) NULL,
    AttemptCount    int NOT NULL CONSTRAINT DF_AlertState_AttemptCount DEFAULT 0,
    TemplateVersion nvarchar(128) NULL,
    FinalAt         datetime2(3) NULL,
    CONSTRAINT PK_Alert PRIMARY KEY (AlertId),
    CONSTRAINT UQ_Alert_PublicId UNIQUE (PublicId),
    CONSTRAINT CK_Alert_BodyFormat_text_or_html CHECK (LOWER(BodyFormat) IN (N'text', N'html')),
    CONSTRAINT CK_Alert_Priority_urgent_normal_or_low CHECK (Priority IN (N'urgent', N'normal', N'low')),
    CONSTRAINT CK_Alert_Importance_low_normal_or_high CHECK (LOWER(Importance) IN (N'low', N'normal', N'high')),
    CONSTRAINT CK_Alert_Sensitivity_normal_personal_private_or_confidential CHECK (LOWER(Sensitivity) IN (N'normal', N'personal', N'private', N'confidential')),
    CONSTRAINT [CK_Alert_Protection_none_sign_encrypt_or_sign+encrypt] CHECK (Protection IS NULL OR LOWER(Protection) IN (N'none', N'sign', N'encrypt', N'sign+encrypt')),
    CONSTRAINT CK_AlertState_Status CHECK (Status IN (N'queued', N'sending', N'delayed', N'held', N'relayed',
        N'partial', N'failed', N'expired', N'cancelled', N'suppressed'))
);
GO
-- One seek a claim and class.
CREATE INDEX IX_AlertState_Due ON sendport.AlertRow (SendPort, Priority, DueAt);
-- What an instance holds, and what one claim took.
CREATE INDEX IX_AlertState_LeaseOwner ON sendport.AlertRow (LeaseOwner, LeaseToken);
-- Queue, and expiry by age.
CREATE INDEX IX_AlertState_Live ON sendport.AlertRow (Status, SendPort, CreatedAt) INCLUDE (DueAt, CreatedBy);
CREATE INDEX IX_AlertState_ExpiresAt ON sendport.AlertRow (Status, ExpiresAt);
CREATE INDEX IX_Alert_Reference ON sendport.AlertRow (Reference);
-- What a writer asks of its own.
CREATE INDEX IX_Alert_CreatedBy ON sendport.AlertRow (CreatedBy, Reference);
GO
-- One addressee of one alert: the truth about delivery.
CREATE TABLE sendport.Recipient (
    AlertId            bigint NOT NULL,
    Ordinal            int NOT NULL,
    Kind               nvarchar(8) COLLATE Latin1_General_BIN2 NOT NULL,
    Address            nvarchar(320) NOT NULL,
    DisplayName        nvarchar(max) NULL,
    Status             nvarchar(16) COLLATE Latin1_General_BIN2 NOT NULL,
    StatusAt           datetime2(3) NOT NULL,
    AttemptCount       int NOT NULL CONSTRAINT DF_Recipient_AttemptCount DEFAULT 0,
    Relay              nvarchar(128) NULL,
    Command            nvarchar(32) NULL,
    ReplyCode          int NULL,
    EnhancedStatusCode nvarchar(16) NULL,
    ReplyText          nvarchar(max) NULL,
    ExplanationKey     nvarchar(64) COLLATE Latin1_General_BIN2 NULL,
    CONSTRAINT PK_Recipient PRIMARY KEY (AlertId, Ordinal),
    CONSTRAINT FK_Recipient_Alert FOREIGN KEY (AlertId) REFERENCES sendport.AlertRow (AlertId) ON DELETE CASCADE,
    CONSTRAINT CK_Recipient_Kind CHECK (Kind IN (N'to', N'cc', N'bcc')),
    CONSTRAINT CK_Recipient_Status CHECK (Status IN (N'queued', N'delayed', N'relayed', N'failed', N'expired',
        N'cancelled', N'suppressed'))
);
GO
CREATE INDEX IX_Recipient_Failed ON sendport.Recipient (Status, StatusAt);
GO
-- One mail transaction, written once at its end.
CREATE TABLE sendport.Attempt (
    AttemptId       bigint IDENTITY(1, 1) NOT NULL,
    AttemptKey      uniqueidentifier NOT NULL,
    AlertId         bigint NOT NULL,
    AttemptNumber   int NOT NULL,
    Outcome         nvarchar(16) COLLATE Latin1_General_BIN2 NOT NULL,
    InstanceId      uniqueidentifier NULL,
    Relay           nvarchar(128) NULL,
    StartedAt       datetime2(3) NULL,
    EndedAt         datetime2(3) NOT NULL,
    MessageId       nvarchar(1000) NULL,
    SizeOctets      bigint NULL,
    Protection      nvarchar(16) NULL,
    RemoteAddress   nvarchar(128) NULL,
    ServerName      nvarchar(512) NULL,
    TlsVersion      nvarchar(64) NULL,
    TlsCipher       nvarchar(128) NULL,
    PeerFingerprint nvarchar(128) NULL,
    AuthMechanism   nvarchar(64) NULL,
    CONSTRAINT PK_Attempt PRIMARY KEY (AttemptId),
    CONSTRAINT UQ_Attempt_AttemptKey UNIQUE (AttemptKey),
    CONSTRAINT FK_Attempt_Alert FOREIGN KEY (AlertId) REFERENCES sendport.AlertRow (AlertId) ON DELETE CASCADE,
    CONSTRAINT CK_Attempt_Outcome CHECK (Outcome IN (N'relayed', N'partial', N'delayed', N'failed', N'unknown'))
);
GO
CREATE INDEX IX_Attempt_AlertId ON sendport.Attempt (AlertId);
GO
-- What the relay said to each command of an attempt.
CREATE TABLE sendport.AttemptReply (
    AttemptId          bigint NOT NULL,
    Ordinal            int NOT NULL,
    Command            nvarchar(32) NOT NULL,
    RecipientOrdinal   int NULL,
    ReplyCode          int NOT NULL,
    EnhancedStatusCode nvarchar(16) NULL,
    ReplyText          nvarchar(max) NOT NULL,
    CONSTRAINT PK_AttemptReply PRIMARY KEY (AttemptId, Ordinal),
    CONSTRAINT FK_AttemptReply_Attempt FOREIGN KEY (AttemptId) REFERENCES sendport.Attempt (AttemptId) ON DELETE CASCADE
);
GO
-- What was said of one recipient, among thousands of replies.
CREATE INDEX IX_AttemptReply_Recipient ON sendport.AttemptReply (AttemptId, RecipientOrdinal);
GO
-- Why a server says such a thing, and what to do. The service fills it.
CREATE TABLE sendport.ReplyExplanation (
    ExplanationKey nvarchar(64) COLLATE Latin1_General_BIN2 NOT NULL,
    Fault          nvarchar(32) NOT NULL,
    Cause          nvarchar(max) NOT NULL,
    Advice         nvarchar(max) NOT NULL,
    CONSTRAINT PK_ReplyExplanation PRIMARY KEY (ExplanationKey)
);
GO
-- One run of the service. All its leases last until LeaseUntil.
CREATE TABLE sendport.Instance (
    InstanceId uniqueidentifier NOT NULL,
    Name       nvarchar(256) NOT NULL,
    HostName   nvarchar(256) NOT NULL,
    ProcessId  bigint NOT NULL,
    Version    nvarchar(64) NOT NULL,
    StartedAt  datetime2(3) NOT NULL,
    RenewedAt  datetime2(3) NOT NULL,
    LeaseUntil datetime2(3) NOT NULL,
    StoppedAt  datetime2(3) NULL,
    -- Why it sends nothing now; NULL while nothing keeps it from that.
    WaitingFor nvarchar(max) NULL,
    -- Outcomes in its state folder that could not be recorded here.
    UnrecordedCount int NOT NULL CONSTRAINT DF_Instance_UnrecordedCount DEFAULT 0,
    UnrecordedSince datetime2(3) NULL,
    -- Alerts that are due and whose rows the database refuses to change.
    UnclaimedCount int NOT NULL CONSTRAINT DF_Instance_UnclaimedCount DEFAULT 0,
    UnclaimedSince datetime2(3) NULL,
    CONSTRAINT PK_Instance PRIMARY KEY (InstanceId)
);
GO
-- The send ports of the configuration, shown here; changing a row changes nothing.
CREATE TABLE sendport.SendPort (
    Name          nvarchar(64) COLLATE Latin1_General_BIN2 NOT NULL,
    FromAddress   nvarchar(1000) NOT NULL,
    Protection    nvarchar(16) NOT NULL,
    MaxAgeSeconds bigint NOT NULL,
    LastSeenAt    datetime2(3) NOT NULL,
    CONSTRAINT PK_SendPort PRIMARY KEY (Name)
);
GO
-- Its relays, in the order in which they are tried.
CREATE TABLE sendport.SendPortRelay (
    SendPort nvarchar(64) COLLATE Latin1_General_BIN2 NOT NULL,
    Ordinal  int NOT NULL,
    Relay    nvarchar(128) COLLATE Latin1_General_BIN2 NOT NULL,
    CONSTRAINT PK_SendPortRelay PRIMARY KEY (SendPort, Ordinal)
);
GO
-- What each instance knows of each relay.
CREATE TABLE sendport.RelayState (
    InstanceId     uniqueidentifier NOT NULL,
    Relay          nvarchar(128) COLLATE Latin1_General_BIN2 NOT NULL,
    Condition      nvarchar(16) COLLATE Latin1_General_BIN2 NOT NULL,
    Since          datetime2(3) NOT NULL,
    RetryAt        datetime2(3) NULL,
    -- In the collation of Relay, which the view Queue joins it to.
    Reply          nvarchar(max) COLLATE Latin1_General_BIN2 NULL,
    ExplanationKey nvarchar(64) COLLATE Latin1_General_BIN2 NULL,
    CONSTRAINT PK_RelayState PRIMARY KEY (InstanceId, Relay),
    CONSTRAINT FK_RelayState_Instance FOREIGN KEY (InstanceId) REFERENCES sendport.Instance (InstanceId) ON DELETE CASCADE,
    CONSTRAINT CK_RelayState_Condition CHECK (Condition IN (N'closed', N'open', N'half_open', N'paused'))
);
GO
-- What an operator should know, beside the service's log.
CREATE TABLE sendport.EventLog (
    EventId    bigint IDENTITY(1, 1) NOT NULL,
    LoggedAt   datetime2(3) NOT NULL CONSTRAINT DF_EventLog_LoggedAt DEFAULT SYSUTCDATETIME(),
    Severity   nvarchar(16) COLLATE Latin1_General_BIN2 NOT NULL,
    EventType  nvarchar(64) COLLATE Latin1_General_BIN2 NOT NULL,
    InstanceId uniqueidentifier NULL,
    AlertId    bigint NULL,
    SendPort   nvarchar(64) COLLATE Latin1_General_BIN2 NULL,
    Relay      nvarchar(128) COLLATE Latin1_General_BIN2 NULL,
    Message    nvarchar(max) NOT NULL,
    CONSTRAINT PK_EventLog PRIMARY KEY (EventId),
    CONSTRAINT CK_EventLog_Severity CHECK (Severity IN (N'information', N'warning', N'error'))
);
GO
-- One row: which environment this database belongs to. A service that is configured for
-- another one refuses to run, so that a restored copy mails nobody.
CREATE TABLE sendport.Environment (
    EnvironmentId int NOT NULL,
    Name          nvarchar(128) COLLATE Latin1_General_BIN2 NOT NULL,
    AdoptedAt     datetime2(3) NOT NULL,
    CONSTRAINT PK_Environment PRIMARY KEY (EnvironmentId),
    CONSTRAINT CK_Environment_EnvironmentId CHECK (EnvironmentId = 1)
);
GO
-- What the service hands over when it records: many outcomes in one statement.
CREATE TYPE sendport.OutcomeList AS TABLE (
    AlertId         bigint NOT NULL PRIMARY KEY,
    LeaseToken      uniqueidentifier NULL,
    SeenStatusAt    datetime2(3) NULL,
    Status          nvarchar(16) COLLATE Latin1_General_BIN2 NULL,
    RetryInMs       bigint NULL,
    StatusReason    nvarchar(max) NULL,
    TemplateVersion nvarchar(128) NULL,
    AttemptKey      uniqueidentifier NULL,
    AttemptNumber   int NULL,
    Outcome         nvarchar(16) COLLATE Latin1_General_BIN2 NULL,
    Relay           nvarchar(128) NULL,
    StartedAt       datetime2(3) NULL,
    EndedAt         datetime2(3) NULL,
    MessageId       nvarchar(1000) NULL,
    SizeOctets      bigint NULL,
    Protection      nvarchar(16) NULL,
    RemoteAddress   nvarchar(128) NULL,
    ServerName      nvarchar(512) NULL,
    TlsVersion      nvarchar(64) NULL,
    TlsCipher       nvarchar(128) NULL,
    PeerFingerprint nvarchar(128) NULL,
    AuthMechanism   nvarchar(64) NULL
);
GO
CREATE TYPE sendport.RecipientList AS TABLE (
    AlertId            bigint NOT NULL,
    Ordinal            int NOT NULL,
    Kind               nvarchar(8) COLLATE Latin1_General_BIN2 NOT NULL,
    Address            nvarchar(320) NOT NULL,
    DisplayName        nvarchar(max) NULL,
    Status             nvarchar(16) COLLATE Latin1_General_BIN2 NOT NULL,
    AttemptCount       int NOT NULL,
    Relay              nvarchar(128) NULL,
    Command            nvarchar(32) NULL,
    ReplyCode          int NULL,
    EnhancedStatusCode nvarchar(16) NULL,
    ReplyText          nvarchar(max) NULL,
    ExplanationKey     nvarchar(64) COLLATE Latin1_General_BIN2 NULL,
    PRIMARY KEY (AlertId, Ordinal)
);
GO
CREATE TYPE sendport.ReplyList AS TABLE (
    AttemptKey         uniqueidentifier NOT NULL,
    Ordinal            int NOT NULL,
    Command            nvarchar(32) NOT NULL,
    RecipientOrdinal   int NULL,
    ReplyCode          int NOT NULL,
    EnhancedStatusCode nvarchar(16) NULL,
    ReplyText          nvarchar(max) NOT NULL,
    PRIMARY KEY (AttemptKey, Ordinal)
);
GO
-- Where applications insert. CreatedAt and CreatedBy are expressions, so that nobody can write
-- them. A writer reads its keys alone: what it says of other columns in its predicates could be evaluated on
-- rows of others. The columns are named first because Babelfish grants on columns only where they are.
CREATE VIEW sendport.Alert (
    AlertId, PublicId, ToRecipients, CcRecipients, BccRecipients, FromAddress, ReplyTo, Subject, Body,
    BodyFormat, Template, Payload, Language, AlertName, Severity, Source, Reference, SendPort, Priority,
    Importance, Sensitivity, Headers, DeliveryReceipt, ReadReceipt, ReplyBy, Protection, DedupKey,
    NotBefore, ExpiresAt, CreatedAt, CreatedBy) AS
SELECT AlertId, PublicId, ToRecipients, CcRecipients, BccRecipients, FromAddress, ReplyTo, Subject, Body,
       BodyFormat, Template, Payload, Language, AlertName, Severity, Source, Reference, SendPort, Priority,
       Importance, Sensitivity, Headers, DeliveryReceipt, ReadReceipt, ReplyBy, Protection, DedupKey,
       NotBefore, ExpiresAt,
       DATEADD(millisecond, 0, CreatedAt), CreatedBy + N''
FROM sendport.AlertRow
WHERE CreatedBy = SUSER_SNAME() OR IS_MEMBER(N'sendport_reader') = 1 OR IS_MEMBER(N'sendport_service') = 1
   OR IS_MEMBER(N'db_owner') = 1;
GO
-- One line a recipient: status, what the relay said, why, and what to do.
CREATE VIEW sendport.Delivery AS
SELECT r.AlertId, a.PublicId, a.Reference, a.SendPort, r.Ordinal, r.Kind, r.Address, r.DisplayName,
       r.Status, r.StatusAt, r.AttemptCount,
       CASE WHEN r.Status IN (N'queued', N'delayed') THEN a.DueAt END AS NextAttemptAt,
       r.Relay, r.Command, r.ReplyCode, r.EnhancedStatusCode, r.ReplyText,
       e.Fault, e.Cause, e.Advice, a.Subject, a.CreatedAt, a.CreatedBy
FROM sendport.Recipient r
JOIN sendport.AlertRow a ON a.AlertId = r.AlertId
LEFT JOIN sendport.ReplyExplanation e ON e.ExplanationKey = r.ExplanationKey;
GO
-- One line an alert.
CREATE VIEW sendport.AlertStatus AS
SELECT a.AlertId, a.PublicId, a.Reference, a.Source, a.AlertName, a.Severity, a.Subject, a.SendPort, a.Priority,
       a.Status, a.StatusAt, a.StatusReason, a.AttemptCount, a.DueAt AS NextAttemptAt,
       (SELECT COUNT(*) FROM sendport.Recipient r WHERE r.AlertId = a.AlertId) AS RecipientCount,
       (SELECT COUNT(*) FROM sendport.Recipient r WHERE r.AlertId = a.AlertId AND r.Status = N'relayed') AS RelayedCount,
       (SELECT COUNT(*) FROM sendport.Recipient r WHERE r.AlertId = a.AlertId AND r.Status IN (N'queued', N'delayed')) AS WaitingCount,
       (SELECT COUNT(*) FROM sendport.Recipient r WHERE r.AlertId = a.AlertId AND r.Status IN (N'failed', N'expired')) AS FailedCount,
       a.FinalAt, a.CreatedAt, a.CreatedBy
FROM sendport.AlertRow a;
GO
-- What failed or expired, with the reason; an alert without a readable recipient stands here too.
CREATE VIEW sendport.FailedDelivery AS
SELECT a.AlertId, a.PublicId, a.Reference, a.SendPort, r.Ordinal, r.Kind, r.Address, r.Status, r.StatusAt,
       r.Relay, r.Command, r.ReplyCode, r.EnhancedStatusCode, r.ReplyText AS Reason, e.Fault, e.Cause, e.Advice,
       a.Subject, a.CreatedAt, a.CreatedBy
FROM sendport.Recipient r
JOIN sendport.AlertRow a ON a.AlertId = r.AlertId
LEFT JOIN sendport.ReplyExplanation e ON e.ExplanationKey = r.ExplanationKey
WHERE r.Status IN (N'failed', N'expired')
UNION ALL
SELECT a.AlertId, a.PublicId, a.Reference, a.SendPort, NULL, NULL, NULL, a.Status, a.StatusAt,
       NULL, NULL, NULL, NULL, a.StatusReason, NULL, NULL, NULL,
       a.Subject, a.CreatedAt, a.CreatedBy
FROM sendport.AlertRow a
WHERE a.Status IN (N'failed', N'expired')
  AND NOT EXISTS (SELECT 1 FROM sendport.Recipient r WHERE r.AlertId = a.AlertId);
GO
-- Depth and oldest age by send port and status of what is not final, and why nothing moves.
CREATE VIEW sendport.Queue AS
SELECT q.SendPort, q.Status, q.Depth, q.OldestAt,
       DATEDIFF(second, q.OldestAt, SYSUTCDATETIME()) AS OldestAgeSeconds,
       q.NextDueAt,
       CASE
           WHEN q.Status = N'sending' THEN NULL
           WHEN q.Status = N'held' THEN N'held by an operator until released'
           WHEN NOT EXISTS (SELECT 1 FROM sendport.Instance i WHERE i.StoppedAt IS NULL
                            AND i.LeaseUntil > SYSUTCDATETIME())
               THEN N'no instance of the service is running'
           WHEN NOT EXISTS (SELECT 1 FROM sendport.SendPort p WHERE p.Name = q.SendPort
                            AND p.LastSeenAt > DATEADD(minute, -2, SYSUTCDATETIME()))
               THEN N'no running instance has a send port of this name'
           WHEN NOT EXISTS (SELECT 1 FROM sendport.SendPortRelay pr
                            JOIN sendport.RelayState rs ON rs.Relay = pr.Relay
                            JOIN sendport.Instance i ON i.InstanceId = rs.InstanceId
                            WHERE pr.SendPort = q.SendPort AND rs.Condition = N'closed' AND i.StoppedAt IS NULL
                              AND i.LeaseUntil > SYSUTCDATETIME())
               THEN (SELECT TOP (1) N'relay ' + rs.Relay + N' ' +
                            CASE rs.Condition WHEN N'paused' THEN N'paused' ELSE N'unavailable' END +
                            N' since ' + CONVERT(nvarchar(30), rs.Since, 126) + N'Z' +
                            COALESCE(N', tried again at ' + CONVERT(nvarchar(30), rs.RetryAt, 126) + N'Z', N'') +
                            COALESCE(N': ' + rs.Reply, N'')
                     FROM sendport.SendPortRelay pr
                     JOIN sendport.RelayState rs ON rs.Relay = pr.Relay
                     JOIN sendport.Instance i ON i.InstanceId = rs.InstanceId
                     WHERE pr.SendPort = q.SendPort AND i.StoppedAt IS NULL
                     ORDER BY pr.Ordinal, rs.Since)
           WHEN q.NextDueAt > SYSUTCDATETIME() THEN N'due at ' + CONVERT(nvarchar(30), q.NextDueAt, 126) + N'Z'
       END AS WaitingFor
FROM (SELECT SendPort, Status, COUNT(*) AS Depth, MIN(CreatedAt) AS OldestAt, MIN(DueAt) AS NextDueAt
      FROM sendport.AlertRow
      WHERE Status IN (N'queued', N'sending', N'delayed', N'held')
        AND (CreatedBy = SUSER_SNAME() OR IS_MEMBER(N'sendport_reader') = 1 OR IS_MEMBER(N'sendport_service') = 1
             OR IS_MEMBER(N'db_owner') = 1)
      GROUP BY SendPort, Status) q;
GO
-- Who runs the service; who inserts alerts and sees its own; who sees everything.
CREATE ROLE sendport_service;
GO
CREATE ROLE sendport_writer;
GO
CREATE ROLE sendport_reader;
GO
GRANT INSERT ON sendport.Alert TO sendport_writer;
GRANT SELECT (AlertId, PublicId) ON sendport.Alert TO sendport_writer;
GRANT SELECT ON sendport.ReplyExplanation TO sendport_writer;
GO
GRANT SELECT ON sendport.Alert TO sendport_reader;
GRANT SELECT ON sendport.AlertStatus TO sendport_reader;
GRANT SELECT ON sendport.Delivery TO sendport_reader;
GRANT SELECT ON sendport.FailedDelivery TO sendport_reader;
GRANT SELECT ON sendport.Queue TO sendport_reader;
GRANT SELECT ON sendport.AlertRow TO sendport_reader;
GRANT SELECT ON sendport.Recipient TO sendport_reader;
GRANT SELECT ON sendport.Attempt TO sendport_reader;
GRANT SELECT ON sendport.AttemptReply TO sendport_reader;
GRANT SELECT ON sendport.ReplyExplanation TO sendport_reader;
GRANT SELECT ON sendport.Instance TO sendport_reader;
GRANT SELECT ON sendport.SendPort TO sendport_reader;
GRANT SELECT ON sendport.SendPortRelay TO sendport_reader;
GRANT SELECT ON sendport.RelayState TO sendport_reader;
GRANT SELECT ON sendport.EventLog TO sendport_reader;
GRANT SELECT ON sendport.Environment TO sendport_reader;
GO
GRANT SELECT, INSERT ON sendport.Alert TO sendport_service;
GRANT SELECT ON sendport.AlertStatus TO sendport_service;
GRANT SELECT ON sendport.Delivery TO sendport_service;
GRANT SELECT ON sendport.FailedDelivery TO sendport_service;
GRANT SELECT ON sendport.Queue TO sendport_service;
GRANT SELECT, UPDATE, DELETE ON sendport.AlertRow TO sendport_service;
GRANT SELECT, INSERT, UPDATE, DELETE ON sendport.Recipient TO sendport_service;
GRANT SELECT, INSERT, UPDATE, DELETE ON sendport.Attempt TO sendport_service;
GRANT SELECT, INSERT, UPDATE, DELETE ON sendport.AttemptReply TO sendport_service;
GRANT SELECT, INSERT, UPDATE, DELETE ON sendport.ReplyExplanation TO sendport_service;
GRANT SELECT, INSERT, UPDATE, DELETE ON sendport.Instance TO sendport_service;
GRANT SELECT, INSERT, UPDATE, DELETE ON sendport.SendPort TO sendport_service;
GRANT SELECT, INSERT, UPDATE, DELETE ON sendport.SendPortRelay TO sendport_service;
GRANT SELECT, INSERT, UPDATE, DELETE ON sendport.RelayState TO sendport_service;
GRANT SELECT, INSERT, UPDATE, DELETE ON sendport.EventLog TO sendport_service;
GRANT SELECT, INSERT, UPDATE ON sendport.Environment TO sendport_service;
IF OBJECT_ID(N'sendport.SchemaVersion') IS NOT NULL
BEGIN
    GRANT SELECT ON sendport.SchemaVersion TO sendport_service;
    GRANT SELECT ON sendport.SchemaVersion TO sendport_reader;
END;
GO
-- Babelfish knows no permissions on types; it asks for those on the table behind one.
IF SERVERPROPERTY(N'Babelfish') IS NULL
BEGIN
    EXEC (N'GRANT EXECUTE ON TYPE::sendport.OutcomeList TO sendport_service');
    EXEC (N'GRANT EXECUTE ON TYPE::sendport.RecipientList TO sendport_service');
    EXEC (N'GRANT EXECUTE ON TYPE::sendport.ReplyList TO sendport_service');
END
ELSE
BEGIN
    EXEC (N'GRANT SELECT ON sendport.OutcomeList TO sendport_service');
    EXEC (N'GRANT SELECT ON sendport.RecipientList TO sendport_service');
    EXEC (N'GRANT SELECT ON sendport.ReplyList TO sendport_service');
END;
GO
