-- What protected each submitted message, and where a DBA sees it.
SET QUOTED_IDENTIFIER ON;
SET ANSI_NULLS ON;
GO
-- A certificate is named by its thumbprint, as Certificate.Thumbprint has it: the SHA-1 of its DER in upper-case hexadecimal.
-- EncryptedTo names all who can open the envelope, in its order, a blank between them.
ALTER TABLE sendport.Attempt ADD SignedBy nvarchar(64) COLLATE Latin1_General_BIN2 NULL;
ALTER TABLE sendport.Attempt ADD SignatureAlgorithm nvarchar(64) NULL;
ALTER TABLE sendport.Attempt ADD EncryptedTo nvarchar(max) NULL;
ALTER TABLE sendport.Attempt ADD EncryptionAlgorithm nvarchar(64) NULL;
ALTER TABLE sendport.Attempt ADD HeaderProtection nvarchar(64) NULL;
GO
-- A type cannot be altered.
DROP TYPE sendport.OutcomeList;
GO
CREATE TYPE sendport.OutcomeList AS TABLE (
    AlertId             bigint NOT NULL PRIMARY KEY,
    LeaseToken          uniqueidentifier NULL,
    SeenStatusAt        datetime2(3) NULL,
    Status              nvarchar(16) COLLATE Latin1_General_BIN2 NULL,
    RetryInMs           bigint NULL,
    StatusReason        nvarchar(max) NULL,
    TemplateVersion     nvarchar(128) NULL,
    AttemptKey          uniqueidentifier NULL,
    AttemptNumber       int NULL,
    Outcome             nvarchar(16) COLLATE Latin1_General_BIN2 NULL,
    Relay               nvarchar(128) NULL,
    StartedAt           datetime2(3) NULL,
    EndedAt             datetime2(3) NULL,
    MessageId           nvarchar(1000) NULL,
    SizeOctets          bigint NULL,
    Protection          nvarchar(16) NULL,
    RemoteAddress       nvarchar(128) NULL,
    ServerName          nvarchar(512) NULL,
    TlsVersion          nvarchar(64) NULL,
    TlsCipher           nvarchar(128) NULL,
    PeerFingerprint     nvarchar(128) NULL,
    AuthMechanism       nvarchar(64) NULL,
    SignedBy            nvarchar(64) COLLATE Latin1_General_BIN2 NULL,
    SignatureAlgorithm  nvarchar(64) NULL,
    EncryptedTo         nvarchar(max) NULL,
    EncryptionAlgorithm nvarchar(64) NULL,
    HeaderProtection    nvarchar(64) NULL,
    -- What the first of several calls for one outcome answered.
    Recorded            int NULL
);
GO
-- Babelfish knows no permissions on types; it asks for those on the table behind one.
IF SERVERPROPERTY(N'Babelfish') IS NULL
    EXEC (N'GRANT EXECUTE ON TYPE::sendport.OutcomeList TO sendport_service');
ELSE
    EXEC (N'GRANT SELECT ON sendport.OutcomeList TO sendport_service');
GO
DROP VIEW sendport.Delivery;
GO
-- One line a recipient: status, what the relay said, why, and what to do; and how the message was
-- protected in the latest attempt in which a relay said something of this recipient.
CREATE VIEW sendport.Delivery AS
SELECT r.AlertId, a.PublicId, a.Reference, a.SendPort, r.Ordinal, r.Kind, r.Address, r.DisplayName,
       r.Status, r.StatusAt, r.AttemptCount,
       CASE WHEN r.Status IN (N'queued', N'delayed') THEN a.DueAt END AS NextAttemptAt,
       r.Relay, r.Command, r.ReplyCode, r.EnhancedStatusCode, r.ReplyText,
       e.Fault, e.Cause, e.Advice, r.Remark, a.Subject, a.CreatedAt, a.CreatedBy,
       t.MessageId, t.Protection, t.SignedBy, t.SignatureAlgorithm, t.EncryptedTo, t.EncryptionAlgorithm,
       t.HeaderProtection
FROM sendport.Recipient r
JOIN sendport.AlertRow a ON a.AlertId = r.AlertId
LEFT JOIN sendport.ReplyExplanation e ON e.ExplanationKey = r.ExplanationKey
LEFT JOIN sendport.Attempt t ON t.AttemptId = (SELECT MAX(x.AttemptId)
                                               FROM sendport.Attempt x
                                               JOIN sendport.AttemptReply p ON p.AttemptId = x.AttemptId
                                               WHERE x.AlertId = r.AlertId AND p.RecipientOrdinal = r.Ordinal);
GO
GRANT SELECT ON sendport.Delivery TO sendport_reader;
GRANT SELECT ON sendport.Delivery TO sendport_service;
GO
-- What a writer sees: its own alerts. The filter of a view does not keep a predicate of the caller from
-- being evaluated on rows of others, whose values then stand in the text of an error; row-level security
-- and functions of one SELECT do not either. A function of several statements does: it answers with rows
-- of the caller alone, before anything of the caller's query is looked at.
--
-- What such a function reads is a view, because on Babelfish it reads with the rights of the caller. There a
-- window over AlertId is the barrier: what a query says of AlertId alone finds the rows, and what it says of
-- anything else is looked at on rows of the caller alone. READCOMMITTED: a writer that looks in a serializable transaction keeps no lock
-- that the service would wait for.
IF SERVERPROPERTY(N'Babelfish') IS NULL
BEGIN
    EXEC (N'CREATE VIEW sendport.OwnAlertStatus AS
            SELECT * FROM sendport.AlertStatus WITH (READCOMMITTED) WHERE CreatedBy = SUSER_SNAME()');
    EXEC (N'CREATE VIEW sendport.OwnDelivery AS
            SELECT * FROM sendport.Delivery WITH (READCOMMITTED) WHERE CreatedBy = SUSER_SNAME()');
END
ELSE
BEGIN
    EXEC (N'CREATE VIEW sendport.OwnAlertStatus AS
            SELECT TOP (100) PERCENT * FROM sendport.AlertStatus WHERE CreatedBy = SUSER_SNAME()
            ORDER BY ROW_NUMBER() OVER (PARTITION BY AlertId ORDER BY AlertId)');
    EXEC (N'CREATE VIEW sendport.OwnDelivery AS
            SELECT TOP (100) PERCENT * FROM sendport.Delivery WHERE CreatedBy = SUSER_SNAME()
            ORDER BY ROW_NUMBER() OVER (PARTITION BY AlertId ORDER BY AlertId)');
    EXEC (N'GRANT SELECT ON sendport.OwnAlertStatus TO sendport_writer');
    EXEC (N'GRANT SELECT ON sendport.OwnDelivery TO sendport_writer');
END;
GO
-- AlertStatus of the caller's own: one alert, those of one Reference, or all.
CREATE FUNCTION sendport.MyAlerts (@AlertId bigint, @Reference nvarchar(200)) RETURNS @own TABLE (
    AlertId        bigint NOT NULL,
    PublicId       uniqueidentifier NOT NULL,
    Reference      nvarchar(200) COLLATE Latin1_General_BIN2 NULL,
    Source         nvarchar(128) NULL,
    AlertName      nvarchar(128) NULL,
    Severity       nvarchar(32) NULL,
    Subject        nvarchar(998) NULL,
    SendPort       nvarchar(64) COLLATE Latin1_General_BIN2 NOT NULL,
    Priority       nvarchar(16) COLLATE Latin1_General_BIN2 NOT NULL,
    Status         nvarchar(16) COLLATE Latin1_General_BIN2 NOT NULL,
    StatusAt       datetime2(3) NOT NULL,
    StatusReason   nvarchar(max) NULL,
    AttemptCount   int NOT NULL,
    NextAttemptAt  datetime2(3) NULL,
    RecipientCount int NOT NULL,
    RelayedCount   int NOT NULL,
    WaitingCount   int NOT NULL,
    FailedCount    int NOT NULL,
    FinalAt        datetime2(3) NULL,
    CreatedAt      datetime2(3) NOT NULL,
    CreatedBy      nvarchar(128) NOT NULL,
    Origin         nvarchar(16) COLLATE Latin1_General_BIN2 NOT NULL) AS
BEGIN
    IF @AlertId IS NOT NULL
        INSERT INTO @own SELECT * FROM sendport.OwnAlertStatus WHERE AlertId = @AlertId;
    ELSE IF @Reference IS NOT NULL
        INSERT INTO @own SELECT * FROM sendport.OwnAlertStatus WHERE Reference = @Reference;
    ELSE
        INSERT INTO @own SELECT * FROM sendport.OwnAlertStatus;
    RETURN;
END;
GO
-- Delivery of the caller's own, likewise.
CREATE FUNCTION sendport.MyDeliveries (@AlertId bigint, @Reference nvarchar(200)) RETURNS @own TABLE (
    AlertId             bigint NOT NULL,
    PublicId            uniqueidentifier NOT NULL,
    Reference           nvarchar(200) COLLATE Latin1_General_BIN2 NULL,
    SendPort            nvarchar(64) COLLATE Latin1_General_BIN2 NOT NULL,
    Ordinal             int NOT NULL,
    Kind                nvarchar(8) COLLATE Latin1_General_BIN2 NOT NULL,
    Address             nvarchar(320) NOT NULL,
    DisplayName         nvarchar(max) NULL,
    Status              nvarchar(16) COLLATE Latin1_General_BIN2 NOT NULL,
    StatusAt            datetime2(3) NOT NULL,
    AttemptCount        int NOT NULL,
    NextAttemptAt       datetime2(3) NULL,
    Relay               nvarchar(128) NULL,
    Command             nvarchar(32) NULL,
    ReplyCode           int NULL,
    EnhancedStatusCode  nvarchar(16) NULL,
    ReplyText           nvarchar(max) NULL,
    Fault               nvarchar(32) NULL,
    Cause               nvarchar(max) NULL,
    Advice              nvarchar(max) NULL,
    Remark              nvarchar(400) NULL,
    Subject             nvarchar(998) NULL,
    CreatedAt           datetime2(3) NOT NULL,
    CreatedBy           nvarchar(128) NOT NULL,
    MessageId           nvarchar(1000) NULL,
    Protection          nvarchar(16) NULL,
    SignedBy            nvarchar(64) COLLATE Latin1_General_BIN2 NULL,
    SignatureAlgorithm  nvarchar(64) NULL,
    EncryptedTo         nvarchar(max) NULL,
    EncryptionAlgorithm nvarchar(64) NULL,
    HeaderProtection    nvarchar(64) NULL) AS
BEGIN
    IF @AlertId IS NOT NULL
        INSERT INTO @own SELECT * FROM sendport.OwnDelivery WHERE AlertId = @AlertId;
    ELSE IF @Reference IS NOT NULL
        INSERT INTO @own SELECT * FROM sendport.OwnDelivery WHERE Reference = @Reference;
    ELSE
        INSERT INTO @own SELECT * FROM sendport.OwnDelivery;
    RETURN;
END;
GO
CREATE VIEW sendport.MyAlertStatus AS SELECT * FROM sendport.MyAlerts(NULL, NULL);
GO
CREATE VIEW sendport.MyDelivery AS SELECT * FROM sendport.MyDeliveries(NULL, NULL);
GO
GRANT SELECT ON sendport.MyAlertStatus TO sendport_writer;
GRANT SELECT ON sendport.MyDelivery TO sendport_writer;
GO
-- Babelfish knows functions of tables as functions alone, and asks for a right on the table that they answer with.
IF SERVERPROPERTY(N'Babelfish') IS NULL
BEGIN
    EXEC (N'GRANT SELECT ON sendport.MyAlerts TO sendport_writer');
    EXEC (N'GRANT SELECT ON sendport.MyDeliveries TO sendport_writer');
END
ELSE
BEGIN
    EXEC (N'GRANT EXECUTE ON sendport.MyAlerts TO sendport_writer');
    EXEC (N'GRANT EXECUTE ON sendport.MyDeliveries TO sendport_writer');
    EXEC (N'GRANT SELECT ON sendport.[@own_MyAlerts] TO sendport_writer');
    EXEC (N'GRANT SELECT ON sendport.[@own_MyDeliveries] TO sendport_writer');
END;
GO
-- Who reads or writes every table of the database, whatever the roles of this schema say; for "sendport check".
CREATE VIEW sendport.FixedRoleMember AS
SELECT r.name AS RoleName, m.name AS MemberName
FROM sys.database_role_members x
JOIN sys.database_principals r ON r.principal_id = x.role_principal_id
JOIN sys.database_principals m ON m.principal_id = x.member_principal_id
WHERE r.name IN (N'db_datareader', N'db_datawriter', N'db_owner') AND m.name <> N'dbo';
GO
-- The service sees no members of roles but its own; the owner does.
IF SERVERPROPERTY(N'Babelfish') IS NULL
    EXEC (N'CREATE FUNCTION sendport.FixedRoleMembers () RETURNS @members TABLE (RoleName nvarchar(128) NOT NULL,
            MemberName nvarchar(128) NOT NULL) WITH EXECUTE AS OWNER AS
            BEGIN
                INSERT INTO @members SELECT RoleName, MemberName FROM sendport.FixedRoleMember;
                RETURN;
            END');
ELSE
    EXEC (N'CREATE FUNCTION sendport.FixedRoleMembers () RETURNS @members TABLE (RoleName nvarchar(128) NOT NULL,
            MemberName nvarchar(128) NOT NULL) AS
            BEGIN
                INSERT INTO @members SELECT RoleName, MemberName FROM sendport.FixedRoleMember;
                RETURN;
            END');
GO
IF SERVERPROPERTY(N'Babelfish') IS NULL
    EXEC (N'GRANT SELECT ON sendport.FixedRoleMembers TO sendport_service');
ELSE
BEGIN
    EXEC (N'GRANT EXECUTE ON sendport.FixedRoleMembers TO sendport_service');
    EXEC (N'GRANT SELECT ON sendport.FixedRoleMember TO sendport_service');
    EXEC (N'GRANT SELECT ON sendport.[@members_FixedRoleMembers] TO sendport_service');
END;
GO
-- A writer that is a member of db_datareader or db_datawriter too, as logins of applications are, would go
-- round all that: it is denied whatever it has no business with, and so is one that has another role of
-- this schema. The views above need no permission on what they read.
IF SERVERPROPERTY(N'Babelfish') IS NULL
BEGIN
    EXEC (N'DENY SELECT (ToRecipients, CcRecipients, BccRecipients, FromAddress, ReplyTo, Subject, Body, BodyFormat,
        Template, Payload, Language, AlertName, Severity, Source, Reference, SendPort, Priority, Importance,
        Sensitivity, Headers, DeliveryReceipt, ReadReceipt, ReplyBy, Protection, DedupKey, NotBefore, ExpiresAt,
        CreatedAt, CreatedBy) ON sendport.Alert TO sendport_writer;
DENY UPDATE, DELETE ON sendport.Alert TO sendport_writer;
DENY SELECT (FileName, MediaType, Content, Disposition, ContentId, Description, TransferEncoding)
    ON sendport.Attachment TO sendport_writer;
DENY UPDATE, DELETE ON sendport.Attachment TO sendport_writer;
DENY INSERT, UPDATE, DELETE ON sendport.ReplyExplanation TO sendport_writer;
DENY SELECT, INSERT, UPDATE, DELETE ON sendport.AlertRow TO sendport_writer;
DENY SELECT, INSERT, UPDATE, DELETE ON sendport.AlertStatus TO sendport_writer;
DENY SELECT, INSERT, UPDATE, DELETE ON sendport.AttachmentRow TO sendport_writer;
DENY SELECT, INSERT, UPDATE, DELETE ON sendport.Attempt TO sendport_writer;
DENY SELECT, INSERT, UPDATE, DELETE ON sendport.AttemptReply TO sendport_writer;
DENY SELECT, INSERT, UPDATE, DELETE ON sendport.AuditCopy TO sendport_writer;
DENY SELECT, INSERT, UPDATE, DELETE ON sendport.Certificate TO sendport_writer;
DENY SELECT, INSERT, UPDATE, DELETE ON sendport.CertificateNotification TO sendport_writer;
DENY SELECT, INSERT, UPDATE, DELETE ON sendport.CurrentTemplate TO sendport_writer;
DENY SELECT, INSERT, UPDATE, DELETE ON sendport.Delivery TO sendport_writer;
DENY SELECT, INSERT, UPDATE, DELETE ON sendport.Environment TO sendport_writer;
DENY SELECT, INSERT, UPDATE, DELETE ON sendport.EventLog TO sendport_writer;
DENY SELECT, INSERT, UPDATE, DELETE ON sendport.ExpiringCertificate TO sendport_writer;
DENY SELECT, INSERT, UPDATE, DELETE ON sendport.FailedDelivery TO sendport_writer;
DENY SELECT, INSERT, UPDATE, DELETE ON sendport.FailureNotification TO sendport_writer;
DENY SELECT, INSERT, UPDATE, DELETE ON sendport.FixedRoleMember TO sendport_writer;
DENY SELECT, INSERT, UPDATE, DELETE ON sendport.InDoubt TO sendport_writer;
DENY SELECT, INSERT, UPDATE, DELETE ON sendport.Instance TO sendport_writer;
DENY SELECT, INSERT, UPDATE, DELETE ON sendport.OwnAlertStatus TO sendport_writer;
DENY SELECT, INSERT, UPDATE, DELETE ON sendport.OwnDelivery TO sendport_writer;
DENY SELECT, INSERT, UPDATE, DELETE ON sendport.Queue TO sendport_writer;
DENY SELECT, INSERT, UPDATE, DELETE ON sendport.Recipient TO sendport_writer;
DENY SELECT, INSERT, UPDATE, DELETE ON sendport.Relay TO sendport_writer;
DENY SELECT, INSERT, UPDATE, DELETE ON sendport.RelayConnectionEnd TO sendport_writer;
DENY SELECT, INSERT, UPDATE, DELETE ON sendport.RelayLimit TO sendport_writer;
DENY SELECT, INSERT, UPDATE, DELETE ON sendport.RelayRecipients TO sendport_writer;
DENY SELECT, INSERT, UPDATE, DELETE ON sendport.RelayAuthentication TO sendport_writer;
DENY SELECT, INSERT, UPDATE, DELETE ON sendport.RelayState TO sendport_writer;
DENY SELECT, INSERT, UPDATE, DELETE ON sendport.RelayThrottle TO sendport_writer;
DENY SELECT, INSERT, UPDATE, DELETE ON sendport.SendPort TO sendport_writer;
DENY SELECT, INSERT, UPDATE, DELETE ON sendport.SendPortRelay TO sendport_writer;
DENY SELECT, INSERT, UPDATE, DELETE ON sendport.Template TO sendport_writer;
DENY SELECT, INSERT, UPDATE, DELETE ON sendport.TemplateChange TO sendport_writer');
    IF OBJECT_ID(N'sendport.SchemaVersion') IS NOT NULL
        EXEC (N'DENY SELECT, INSERT, UPDATE, DELETE ON sendport.SchemaVersion TO sendport_writer');
END;
GO
