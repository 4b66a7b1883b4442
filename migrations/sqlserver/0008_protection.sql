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
    HeaderProtection    nvarchar(64) NULL
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
                                               WHERE x.AlertId = r.AlertId AND p.RecipientOrdinal = r.Ordinal)
WHERE a.CreatedBy = SUSER_SNAME() OR IS_MEMBER(N'sendport_reader') = 1 OR IS_MEMBER(N'sendport_service') = 1
   OR IS_MEMBER(N'db_owner') = 1;
GO
GRANT SELECT ON sendport.Delivery TO sendport_writer;
GRANT SELECT ON sendport.Delivery TO sendport_reader;
GRANT SELECT ON sendport.Delivery TO sendport_service;
GO
