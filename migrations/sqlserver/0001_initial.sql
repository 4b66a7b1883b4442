-- The schema of sendport on SQL Server 2017 and later, Azure SQL Database, and engines that speak T-SQL.
-- A DBA runs what `sendport migrate --print` prints: it adds the transaction, a lock, and the migration history.
--
-- Applications insert into the views Alert and Attachment. The tables behind them have no filtered index, no
-- indexed computed column and no indexed view, and AlertRow has no trigger for inserts: an insert works with
-- whatever SET options the connection of the application has.
--
-- Times are UTC. Statuses, names and keys have a binary collation.
SET QUOTED_IDENTIFIER ON;
SET ANSI_NULLS ON;
GO

-- ==== Tables: alerts and their results ====
GO

-- One row per alert: what the application asked for, and from Status on what the service knows of it. Only the
-- service writes to this table; applications insert into the view Alert. Long texts, the columns of type nvarchar(max),
-- are stored off the row, so that a page holds many rows and a change of status does not rewrite a body.
CREATE TABLE sendport.AlertRow (
    AlertId         bigint IDENTITY(1, 1) NOT NULL,
    PublicId        uniqueidentifier NOT NULL CONSTRAINT DF_AlertRow_PublicId DEFAULT NEWID(),
    ToRecipients    nvarchar(max) NULL,
    CcRecipients    nvarchar(max) NULL,
    BccRecipients   nvarchar(max) NULL,
    FromAddress     nvarchar(1000) NULL,
    ReplyTo         nvarchar(1000) NULL,
    Subject         nvarchar(998) NULL,
    Body            nvarchar(max) NULL,
    BodyFormat      nvarchar(16) COLLATE Latin1_General_BIN2 NOT NULL CONSTRAINT DF_AlertRow_BodyFormat DEFAULT N'text',
    Template        nvarchar(128) COLLATE Latin1_General_BIN2 NULL,
    Payload         nvarchar(max) NULL,
    Language        nvarchar(35) NULL,
    AlertName       nvarchar(128) NULL,
    Severity        nvarchar(32) NULL,
    Source          nvarchar(128) NULL,
    Reference       nvarchar(200) COLLATE Latin1_General_BIN2 NULL,
    SendPort        nvarchar(64) COLLATE Latin1_General_BIN2 NOT NULL CONSTRAINT DF_AlertRow_SendPort DEFAULT N'default',
    Priority        nvarchar(16) COLLATE Latin1_General_BIN2 NOT NULL CONSTRAINT DF_AlertRow_Priority DEFAULT N'normal',
    Importance      nvarchar(16) COLLATE Latin1_General_BIN2 NOT NULL CONSTRAINT DF_AlertRow_Importance DEFAULT N'normal',
    Sensitivity     nvarchar(16) COLLATE Latin1_General_BIN2 NOT NULL CONSTRAINT DF_AlertRow_Sensitivity DEFAULT N'normal',
    Headers         nvarchar(max) NULL,
    DeliveryReceipt bit NOT NULL CONSTRAINT DF_AlertRow_DeliveryReceipt DEFAULT 0,
    ReadReceipt     bit NOT NULL CONSTRAINT DF_AlertRow_ReadReceipt DEFAULT 0,
    ReplyBy         datetime2(3) NULL,
    Protection      nvarchar(16) COLLATE Latin1_General_BIN2 NULL,
    DedupKey        nvarchar(200) COLLATE Latin1_General_BIN2 NULL,
    NotBefore       datetime2(3) NULL,
    ExpiresAt       datetime2(3) NULL,
    -- Files that the service reads itself: absolute paths, separated by ';'.
    FileAttachments nvarchar(max) NULL,
    CreatedAt       datetime2(3) NOT NULL CONSTRAINT DF_AlertRow_CreatedAt DEFAULT SYSUTCDATETIME(),
    CreatedBy       nvarchar(128) NOT NULL CONSTRAINT DF_AlertRow_CreatedBy DEFAULT SUSER_SNAME(),
    Status          nvarchar(16) COLLATE Latin1_General_BIN2 NOT NULL CONSTRAINT DF_AlertRow_Status DEFAULT N'queued',
    StatusAt        datetime2(3) NOT NULL CONSTRAINT DF_AlertRow_StatusAt DEFAULT SYSUTCDATETIME(),
    StatusReason    nvarchar(2000) NULL,
    -- What kind of reason it is, where the service acts on it; written with StatusReason.
    StatusReasonCode nvarchar(32) COLLATE Latin1_General_BIN2 NULL,
    -- The service claims an alert when DueAt <= now. NULL while it is leased, while it is held, and once it is
    -- final. A claim that finds NotBefore in the future moves DueAt there.
    DueAt           datetime2(3) NULL CONSTRAINT DF_AlertRow_DueAt DEFAULT SYSUTCDATETIME(),
    LeaseToken      uniqueidentifier NULL,
    LeaseOwner      uniqueidentifier NULL,
    LeasedAt        datetime2(3) NULL,
    AttemptCount    int NOT NULL CONSTRAINT DF_AlertRow_AttemptCount DEFAULT 0,
    TemplateVersion nvarchar(128) NULL,
    FinalAt         datetime2(3) NULL,
    -- 'digest': inserted by the service to report failures. 'report': the service reports to the sender of a submitted
    -- message. The others: a program submitted the whole message (table ReceivedMessage). The view Alert does not have this column, so applications cannot write it.
    Origin          nvarchar(16) COLLATE Latin1_General_BIN2 NOT NULL CONSTRAINT DF_AlertRow_Origin DEFAULT N'application',
    -- When the service stored the files that FileAttachments names as rows of AttachmentRow.
    FilesStoredAt   datetime2(3) NULL,
    -- The latest requeue: the age counts from then on, or from a later NotBefore, and an ExpiresAt before it no longer
    -- counts.
    RequeuedAt      datetime2(3) NULL,
    -- AttemptCount at that time: the attempts of the send port's retry are counted from there.
    AttemptsBefore  int NOT NULL CONSTRAINT DF_AlertRow_AttemptsBefore DEFAULT 0,
    -- How often a requeue asked for a new Message-ID.
    MessageGeneration int NOT NULL CONSTRAINT DF_AlertRow_MessageGeneration DEFAULT 0,
    -- The latest request of an operator that changed it (OperatorRequest); EarlierRequest has those before it.
    RequestId       bigint NULL,
    -- When the service deleted Body, Payload, Headers and the attachments: such an alert is not sent again.
    BodyPurgedAt    datetime2(3) NULL,
    -- 1 when all attachments are gone, which are deleted some at a time: only then the row itself may be deleted.
    BodyPurged      tinyint NOT NULL CONSTRAINT DF_AlertRow_BodyPurged DEFAULT 0,
    CONSTRAINT PK_AlertRow PRIMARY KEY (AlertId),
    CONSTRAINT UQ_Alert_PublicId UNIQUE (PublicId),
    CONSTRAINT CK_Alert_BodyFormat_text_or_html CHECK (LOWER(BodyFormat) IN (N'text', N'html')),
    CONSTRAINT CK_Alert_Priority_urgent_normal_or_low CHECK (Priority IN (N'urgent', N'normal', N'low')),
    CONSTRAINT CK_Alert_Importance_low_normal_or_high CHECK (LOWER(Importance) IN (N'low', N'normal', N'high')),
    CONSTRAINT CK_Alert_Sensitivity_normal_personal_private_or_confidential CHECK (LOWER(Sensitivity) IN (N'normal', N'personal', N'private', N'confidential')),
    CONSTRAINT [CK_Alert_Protection_none_sign_encrypt_or_sign+encrypt] CHECK (Protection IS NULL OR LOWER(Protection) IN (N'none', N'sign', N'encrypt', N'sign+encrypt')),
    CONSTRAINT CK_AlertRow_Status CHECK (Status IN (N'queued', N'sending', N'delayed', N'held', N'relayed',
        N'partial', N'failed', N'expired', N'cancelled', N'suppressed')),
    CONSTRAINT CK_AlertRow_StatusReasonCode CHECK (StatusReasonCode IN (N'waiting', N'in-doubt', N'no-such-send-port',
        N'operator-hold', N'cancelling')),
    CONSTRAINT CK_AlertRow_BodyPurged CHECK (BodyPurged IN (0, 1)),
    CONSTRAINT CK_AlertRow_Origin CHECK (Origin IN (N'application', N'digest', N'smtp', N'pickup', N'sendmail', N'report'))
);
GO
-- Babelfish decides by itself what it stores off the row.
IF SERVERPROPERTY(N'Babelfish') IS NULL
    EXEC (N'EXEC sp_tableoption N''sendport.AlertRow'', N''large value types out of row'', 1');
GO
-- For the claim: one seek for each send port and priority.
CREATE INDEX IX_AlertRow_Due ON sendport.AlertRow (SendPort, Priority, DueAt);
-- For the alerts that an instance has leased, and those that one claim leased.
CREATE INDEX IX_AlertRow_LeaseOwner ON sendport.AlertRow (LeaseOwner, LeaseToken);
-- For the view Queue, expiry by age, the failure digest, retention, and requests of operators.
CREATE INDEX IX_AlertRow_Live ON sendport.AlertRow (Status, SendPort, BodyPurged, CreatedAt, AlertId)
    INCLUDE (DueAt, CreatedBy, FinalAt, AttemptCount, RequeuedAt, NotBefore);
-- For the counts of each minute. A claim does not change it.
CREATE INDEX IX_AlertRow_FinalAt ON sendport.AlertRow (FinalAt);
CREATE INDEX IX_AlertRow_ExpiresAt ON sendport.AlertRow (Status, ExpiresAt);
CREATE INDEX IX_AlertRow_Reference ON sendport.AlertRow (Reference);
-- For the alerts of one writer.
CREATE INDEX IX_AlertRow_CreatedBy ON sendport.AlertRow (CreatedBy, Reference);
GO

-- One row per file, inserted through the view Attachment in the transaction that inserts the alert. Content longer
-- than 8,000 bytes is stored off the row.
CREATE TABLE sendport.AttachmentRow (
    AttachmentId     bigint IDENTITY(1, 1) NOT NULL,
    AlertId          bigint NOT NULL,
    FileName         nvarchar(255) NULL,
    MediaType        nvarchar(255) NULL,
    Content          varbinary(max) NOT NULL,
    Disposition      nvarchar(16) COLLATE Latin1_General_BIN2 NOT NULL CONSTRAINT DF_AttachmentRow_Disposition DEFAULT N'attachment',
    ContentId        nvarchar(255) COLLATE Latin1_General_BIN2 NULL,
    Description      nvarchar(400) NULL,
    TransferEncoding nvarchar(16) COLLATE Latin1_General_BIN2 NOT NULL CONSTRAINT DF_AttachmentRow_TransferEncoding DEFAULT N'base64',
    CONSTRAINT PK_AttachmentRow PRIMARY KEY (AlertId, AttachmentId),
    CONSTRAINT CK_Attachment_Disposition_attachment_or_inline CHECK (LOWER(Disposition) IN (N'attachment', N'inline')),
    CONSTRAINT [CK_Attachment_TransferEncoding_base64_quoted-printable_or_7bit] CHECK (LOWER(TransferEncoding) IN (N'base64', N'quoted-printable', N'7bit'))
);
GO

-- The parameters of sendport.sp_send_dbmail that AlertRow has no column for: one row per alert with @query or
-- @exclude_query_output. The views sysmail_allitems and so on show them; the service does not read them.
CREATE TABLE sendport.DatabaseMailItem (
    AlertId                 bigint NOT NULL,
    Query                   nvarchar(max) NULL,
    ExecuteQueryDatabase    nvarchar(128) NULL,
    AttachQueryResultAsFile bit NOT NULL,
    QueryResultHeader       bit NOT NULL,
    QueryResultWidth        int NOT NULL,
    QueryResultSeparator    nchar(1) NOT NULL,
    ExcludeQueryOutput      bit NOT NULL,
    AppendQueryError        bit NOT NULL,
    CONSTRAINT PK_DatabaseMailItem PRIMARY KEY (AlertId)
);
GO
-- Files and parameters of Database Mail are deleted with their alert. Babelfish checks a foreign key with the
-- permissions of the inserting user, so there a trigger deletes them.
IF SERVERPROPERTY(N'Babelfish') IS NULL
BEGIN
    EXEC (N'ALTER TABLE sendport.AttachmentRow ADD CONSTRAINT FK_AttachmentRow_AlertRow
            FOREIGN KEY (AlertId) REFERENCES sendport.AlertRow (AlertId) ON DELETE CASCADE');
    EXEC (N'ALTER TABLE sendport.DatabaseMailItem ADD CONSTRAINT FK_DatabaseMailItem_AlertRow
            FOREIGN KEY (AlertId) REFERENCES sendport.AlertRow (AlertId) ON DELETE CASCADE');
END
ELSE
    EXEC (N'CREATE TRIGGER sendport.TR_AlertRow_Delete ON sendport.AlertRow AFTER DELETE AS
            BEGIN
                DELETE FROM sendport.AttachmentRow WHERE AlertId IN (SELECT d.AlertId FROM deleted d);
                DELETE FROM sendport.DatabaseMailItem WHERE AlertId IN (SELECT d.AlertId FROM deleted d);
            END');
GO

-- How a message came in that a client submitted whole: one row per alert of the origin 'smtp', 'pickup', 'sendmail'
-- or 'report'.
CREATE TABLE sendport.ReceivedMessage (
    AlertId       bigint NOT NULL,
    -- Empty for a report of the service.
    Intake        nvarchar(64) NOT NULL,
    ClientAddress nvarchar(64) NULL,
    -- The name that the client gave itself in HELO or EHLO.
    HeloName      nvarchar(255) NULL,
    -- The authenticated user, or the owner of the file.
    UserName      nvarchar(255) NULL,
    -- Empty for the null reverse-path.
    ReversePath   nvarchar(320) NOT NULL,
    MessageId     nvarchar(1000) NOT NULL,
    SizeBytes     bigint NOT NULL,
    -- BODY and SMTPUTF8 of MAIL (RFC 6152, RFC 6531).
    BodyType      nvarchar(16) COLLATE Latin1_General_BIN2 NOT NULL,
    SmtpUtf8      bit NOT NULL,
    -- ENVID and RET of MAIL (RFC 3461), and a JSON object with NOTIFY and ORCPT of those recipients that have them.
    EnvelopeId    nvarchar(100) NULL,
    DsnReturn     nvarchar(16) COLLATE Latin1_General_BIN2 NULL,
    RecipientDsn  nvarchar(max) NULL,
    -- From is one address that the client may use as its reverse-path, too: else nothing is signed for it.
    FromAllowed   bit NOT NULL,
    CONSTRAINT PK_ReceivedMessage PRIMARY KEY (AlertId),
    CONSTRAINT FK_ReceivedMessage_AlertRow FOREIGN KEY (AlertId) REFERENCES sendport.AlertRow (AlertId) ON DELETE CASCADE,
    CONSTRAINT CK_ReceivedMessage_BodyType CHECK (BodyType IN (N'7bit', N'8bitmime')),
    CONSTRAINT CK_ReceivedMessage_DsnReturn CHECK (DsnReturn IN (N'headers', N'full'))
);
GO

-- The octets of such a message, in pieces of at most 1 MiB. They are deleted when the body of another alert would be.
CREATE TABLE sendport.ReceivedContent (
    AlertId bigint NOT NULL,
    Ordinal int NOT NULL,
    Content varbinary(max) NOT NULL,
    CONSTRAINT PK_ReceivedContent PRIMARY KEY (AlertId, Ordinal),
    CONSTRAINT FK_ReceivedContent_ReceivedMessage FOREIGN KEY (AlertId) REFERENCES sendport.ReceivedMessage (AlertId) ON DELETE CASCADE
);
GO

-- One row per recipient of an alert. The status of an alert follows from the statuses of its recipients.
CREATE TABLE sendport.Recipient (
    AlertId            bigint NOT NULL,
    Ordinal            int NOT NULL,
    Kind               nvarchar(8) COLLATE Latin1_General_BIN2 NOT NULL,
    Address            nvarchar(320) NOT NULL,
    DisplayName        nvarchar(max) NULL,
    Status             nvarchar(16) COLLATE Latin1_General_BIN2 NOT NULL,
    StatusAt           datetime2(3) NOT NULL,
    AttemptCount       int NOT NULL CONSTRAINT DF_Recipient_AttemptCount DEFAULT 0,
    -- The relay's reply that decided the status.
    Relay              nvarchar(128) NULL,
    Command            nvarchar(32) NULL,
    ReplyCode          int NULL,
    EnhancedStatusCode nvarchar(16) NULL,
    ReplyText          nvarchar(max) NULL,
    ExplanationKey     nvarchar(64) COLLATE Latin1_General_BIN2 NULL,
    -- What an operator should know beside the reply, such as a receipt that the relay cannot ask for.
    Remark             nvarchar(400) NULL,
    -- A requeue of all sends it again to a recipient whose relay had accepted it.
    WasRelayed         bit NOT NULL CONSTRAINT DF_Recipient_WasRelayed DEFAULT 0,
    -- The one address that the last attempt went to instead, by a redirect of an operator.
    RedirectTo         nvarchar(320) NULL,
    CONSTRAINT PK_Recipient PRIMARY KEY (AlertId, Ordinal),
    CONSTRAINT FK_Recipient_AlertRow FOREIGN KEY (AlertId) REFERENCES sendport.AlertRow (AlertId) ON DELETE CASCADE,
    CONSTRAINT CK_Recipient_Kind CHECK (Kind IN (N'to', N'cc', N'bcc')),
    CONSTRAINT CK_Recipient_Status CHECK (Status IN (N'queued', N'delayed', N'relayed', N'failed', N'expired',
        N'cancelled', N'suppressed'))
);
GO
CREATE INDEX IX_Recipient_Failed ON sendport.Recipient (Status, StatusAt);
GO

-- One row per mail transaction, inserted once it has ended.
CREATE TABLE sendport.Attempt (
    AttemptId           bigint IDENTITY(1, 1) NOT NULL,
    AttemptKey          uniqueidentifier NOT NULL,
    AlertId             bigint NOT NULL,
    AttemptNumber       int NOT NULL,
    Outcome             nvarchar(16) COLLATE Latin1_General_BIN2 NOT NULL,
    InstanceId          uniqueidentifier NULL,
    Relay               nvarchar(128) NULL,
    StartedAt           datetime2(3) NULL,
    EndedAt             datetime2(3) NOT NULL,
    MessageId           nvarchar(1000) NULL,
    SizeBytes           bigint NULL,
    Protection          nvarchar(16) NULL,
    RemoteAddress       nvarchar(128) NULL,
    ServerName          nvarchar(512) NULL,
    TlsVersion          nvarchar(64) NULL,
    TlsCipher           nvarchar(128) NULL,
    PeerFingerprint     nvarchar(128) NULL,
    AuthMechanism       nvarchar(64) NULL,
    -- The thumbprint of the signing certificate, as in Certificate.Thumbprint: SHA-1 of its DER, upper-case
    -- hexadecimal.
    SignedBy            nvarchar(64) COLLATE Latin1_General_BIN2 NULL,
    SignatureAlgorithm  nvarchar(64) NULL,
    -- The thumbprints of all certificates that can open the envelope, in its order, separated by a blank.
    EncryptedTo         nvarchar(max) NULL,
    EncryptionAlgorithm nvarchar(64) NULL,
    HeaderProtection    nvarchar(64) NULL,
    -- The one address that got the message instead of its recipients, by a redirect of an operator.
    RedirectTo          nvarchar(320) NULL,
    -- The relay offers delivery status notifications (RFC 3461).
    OffersDsn           bit NULL,
    -- Its end was not observed, and this request of an operator says what became of it (OperatorRequest.Resolution).
    ResolveRequestId    bigint NULL,
    CONSTRAINT PK_Attempt PRIMARY KEY (AttemptId),
    CONSTRAINT UQ_Attempt_AttemptKey UNIQUE (AttemptKey),
    CONSTRAINT FK_Attempt_AlertRow FOREIGN KEY (AlertId) REFERENCES sendport.AlertRow (AlertId) ON DELETE CASCADE,
    CONSTRAINT CK_Attempt_Outcome CHECK (Outcome IN (N'relayed', N'partial', N'delayed', N'failed', N'unknown'))
);
GO
CREATE INDEX IX_Attempt_AlertId ON sendport.Attempt (AlertId);
GO

-- One row for the relay's reply to each command of an attempt.
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
-- For the view Delivery: the replies for one recipient, among thousands.
CREATE INDEX IX_AttemptReply_Recipient ON sendport.AttemptReply (AttemptId, RecipientOrdinal);
GO

-- Cause and advice for each kind of reply. The service fills it.
CREATE TABLE sendport.ReplyExplanation (
    ExplanationKey nvarchar(64) COLLATE Latin1_General_BIN2 NOT NULL,
    Fault          nvarchar(32) NOT NULL,
    Cause          nvarchar(max) NOT NULL,
    Advice         nvarchar(max) NOT NULL,
    CONSTRAINT PK_ReplyExplanation PRIMARY KEY (ExplanationKey)
);
GO

-- Failures that a digest has reported, and the alert that carried the digest.
CREATE TABLE sendport.FailureNotification (
    AlertId       bigint NOT NULL,
    DigestAlertId bigint NOT NULL,
    NotifiedAt    datetime2(3) NOT NULL,
    CONSTRAINT PK_FailureNotification PRIMARY KEY (AlertId),
    CONSTRAINT FK_FailureNotification_AlertRow FOREIGN KEY (AlertId) REFERENCES sendport.AlertRow (AlertId) ON DELETE CASCADE
);
GO

-- What the service reported to the senders of submitted messages, and why it did not: one row per recipient and action
-- (RFC 3464 section 2.3.3).
CREATE TABLE sendport.DeliveryReport (
    AlertId       bigint NOT NULL,
    Ordinal       int NOT NULL,
    Action        nvarchar(16) COLLATE Latin1_General_BIN2 NOT NULL,
    SendPort      nvarchar(64) COLLATE Latin1_General_BIN2 NOT NULL,
    ReportedAt    datetime2(3) NOT NULL,
    -- The alert that is the report; NULL: there is none, for this reason.
    ReportAlertId bigint NULL,
    Reason        nvarchar(1000) NULL,
    CONSTRAINT PK_DeliveryReport PRIMARY KEY (AlertId, Ordinal, Action),
    CONSTRAINT FK_DeliveryReport_AlertRow FOREIGN KEY (AlertId) REFERENCES sendport.AlertRow (AlertId) ON DELETE CASCADE,
    CONSTRAINT CK_DeliveryReport_Action CHECK (Action IN (N'failed', N'delayed', N'relayed')),
    CONSTRAINT CK_DeliveryReport_Reason CHECK (ReportAlertId IS NULL AND Reason IS NOT NULL
        OR ReportAlertId IS NOT NULL AND Reason IS NULL)
);
GO
-- For reports_per_minute.
CREATE INDEX IX_DeliveryReport_ReportedAt ON sendport.DeliveryReport (SendPort, ReportedAt, ReportAlertId);
CREATE INDEX IX_DeliveryReport_ReportAlertId ON sendport.DeliveryReport (ReportAlertId);
GO

-- Reports of other mail systems that the service read: one row per message.
CREATE TABLE sendport.Feedback (
    FeedbackId      bigint IDENTITY(1, 1) NOT NULL,
    -- Identifies the report in its source.
    FeedbackKey     nvarchar(200) COLLATE Latin1_General_BIN2 NOT NULL,
    Source          nvarchar(64) COLLATE Latin1_General_BIN2 NOT NULL,
    Kind            nvarchar(16) COLLATE Latin1_General_BIN2 NOT NULL,
    ReceivedAt      datetime2(3) NOT NULL,
    FromAddress     nvarchar(400) NULL,
    Subject         nvarchar(998) NULL,
    MessageId       nvarchar(1000) NULL,
    SizeBytes       bigint NOT NULL,
    -- The alert that it proves to be about; NULL: none, for this reason.
    AlertId         bigint NULL,
    UnmatchedReason nvarchar(1000) NULL,
    -- What it says of recipients that it is not recorded of.
    Summary         nvarchar(1000) NULL,
    CONSTRAINT PK_Feedback PRIMARY KEY (FeedbackId),
    CONSTRAINT UQ_Feedback_FeedbackKey UNIQUE (FeedbackKey),
    CONSTRAINT FK_Feedback_AlertRow FOREIGN KEY (AlertId) REFERENCES sendport.AlertRow (AlertId) ON DELETE CASCADE,
    CONSTRAINT CK_Feedback_Kind CHECK (Kind IN (N'delivery-status', N'disposition', N'complaint', N'auto-reply', N'other')),
    CONSTRAINT CK_Feedback_UnmatchedReason CHECK (AlertId IS NULL AND UnmatchedReason IS NOT NULL
        OR AlertId IS NOT NULL AND UnmatchedReason IS NULL)
);
GO
CREATE INDEX IX_Feedback_AlertId ON sendport.Feedback (AlertId, ReceivedAt);
GO

-- What such a report says of a recipient: one row per report and recipient.
CREATE TABLE sendport.RecipientFeedback (
    RecipientFeedbackId bigint IDENTITY(1, 1) NOT NULL,
    FeedbackId          bigint NOT NULL,
    AlertId             bigint NOT NULL,
    Ordinal             int NOT NULL,
    -- The transaction that it is about.
    AttemptId           bigint NOT NULL,
    Outcome             nvarchar(16) COLLATE Latin1_General_BIN2 NOT NULL,
    -- The view Delivery shows it: none of this recipient is about a later transaction, or says more.
    IsCurrent           bit NOT NULL,
    -- As the report says.
    ReportedAt          datetime2(3) NOT NULL,
    ReportedBy          nvarchar(400) NULL,
    ReportedAddress     nvarchar(400) NULL,
    ReplyCode           int NULL,
    EnhancedStatusCode  nvarchar(16) NULL,
    ReplyText           nvarchar(2000) NULL,
    BounceClass         nvarchar(16) COLLATE Latin1_General_BIN2 NULL,
    ExplanationKey      nvarchar(64) COLLATE Latin1_General_BIN2 NULL,
    CONSTRAINT PK_RecipientFeedback PRIMARY KEY (RecipientFeedbackId),
    CONSTRAINT FK_RecipientFeedback_Feedback FOREIGN KEY (FeedbackId) REFERENCES sendport.Feedback (FeedbackId) ON DELETE CASCADE,
    CONSTRAINT CK_RecipientFeedback_Outcome CHECK (Outcome IN (N'delayed', N'relayed-on', N'delivered', N'read', N'expired',
        N'bounced')),
    CONSTRAINT CK_RecipientFeedback_BounceClass CHECK (BounceClass IN (N'hard', N'soft', N'blocked', N'quota', N'policy',
        N'spam'))
);
GO
CREATE INDEX IX_RecipientFeedback_Recipient ON sendport.RecipientFeedback (AlertId, Ordinal, IsCurrent) INCLUDE (Outcome);
CREATE INDEX IX_RecipientFeedback_FeedbackId ON sendport.RecipientFeedback (FeedbackId);
GO

-- Submitted messages, byte for byte, where the configuration asks for copies. No foreign key to the alert: a copy
-- outlives it, and the service never deletes one.
CREATE TABLE sendport.AuditCopy (
    AttemptKey   uniqueidentifier NOT NULL,
    -- 'before' or 'after' signing and encryption.
    Stage        nvarchar(8) COLLATE Latin1_General_BIN2 NOT NULL,
    AlertId      bigint NOT NULL,
    SendPort     nvarchar(64) COLLATE Latin1_General_BIN2 NOT NULL,
    Relay        nvarchar(128) NOT NULL,
    CreatedAt    datetime2(3) NOT NULL,
    MessageId    nvarchar(1000) NOT NULL,
    ReversePath  nvarchar(1000) NOT NULL,
    -- One a line.
    ForwardPaths nvarchar(max) NOT NULL,
    SizeBytes    bigint NOT NULL,
    Content      varbinary(max) NOT NULL,
    CONSTRAINT PK_AuditCopy PRIMARY KEY NONCLUSTERED (AttemptKey, Stage),
    CONSTRAINT CK_AuditCopy_Stage CHECK (Stage IN (N'before', N'after'))
);
GO
-- Clustered by the alert, so that new rows are appended.
CREATE CLUSTERED INDEX IX_AuditCopy_AlertId ON sendport.AuditCopy (AlertId);
GO

-- ==== Tables: templates and certificates ====
GO

-- One row for each import that changed a template. The version counts across all templates: one number
-- identifies the state of all of them.
CREATE TABLE sendport.TemplateChange (
    [Version] int NOT NULL,
    CreatedAt datetime2(3) NOT NULL CONSTRAINT DF_TemplateChange_CreatedAt DEFAULT SYSUTCDATETIME(),
    CreatedBy nvarchar(128) NOT NULL CONSTRAINT DF_TemplateChange_CreatedBy DEFAULT SUSER_SNAME(),
    CONSTRAINT PK_TemplateChange PRIMARY KEY (Version),
    CONSTRAINT CK_TemplateChange_Version CHECK (Version >= 1)
);
GO
-- One row for each change of one template in one language. A row is valid until the next version of the same name
-- and language; a row whose texts are all NULL removes the template. Language '' is the default. Other
-- templates extend, include or import one whose name begins with '_'. Sample is a payload for previews.
CREATE TABLE sendport.Template (
    Name      nvarchar(128) COLLATE Latin1_General_BIN2 NOT NULL,
    Language  nvarchar(35) COLLATE Latin1_General_BIN2 NOT NULL,
    [Version] int NOT NULL,
    Subject   nvarchar(max) NULL,
    Text      nvarchar(max) NULL,
    Html      nvarchar(max) NULL,
    Sample    nvarchar(max) NULL,
    CONSTRAINT PK_Template PRIMARY KEY (Name, Language, Version),
    CONSTRAINT FK_Template_TemplateChange FOREIGN KEY (Version) REFERENCES sendport.TemplateChange (Version)
);
GO
CREATE TRIGGER sendport.TR_Template_Update ON sendport.Template AFTER UPDATE AS
    THROW 50004, N'a version of a template never changes; import the template again, as a new version', 1;
GO
CREATE TRIGGER sendport.TR_TemplateChange_Update ON sendport.TemplateChange AFTER UPDATE AS
    THROW 50004, N'a version of a template never changes; import the template again, as a new version', 1;
GO

-- One row for each certificate and recipient address, the address in lower case. Write access to this table
-- decides who can read encrypted messages.
CREATE TABLE sendport.Certificate (
    CertificateId     bigint IDENTITY(1, 1) NOT NULL,
    Address           nvarchar(320) COLLATE Latin1_General_BIN2 NOT NULL,
    -- 'certificate': the certificate contains the address. 'operator': an operator assigned it.
    BoundBy           nvarchar(16) COLLATE Latin1_General_BIN2 NOT NULL
                      CONSTRAINT DF_Certificate_BoundBy DEFAULT N'certificate',
    Thumbprint        nvarchar(40) COLLATE Latin1_General_BIN2 NOT NULL,
    Sha256Fingerprint nvarchar(64) COLLATE Latin1_General_BIN2 NOT NULL,
    Subject           nvarchar(1000) NOT NULL,
    Issuer            nvarchar(1000) NOT NULL,
    SerialNumber      nvarchar(128) NOT NULL,
    ValidFrom         datetime2(3) NOT NULL,
    ValidTo           datetime2(3) NOT NULL,
    KeyUsage          nvarchar(400) COLLATE Latin1_General_BIN2 NOT NULL,
    -- KeyUsage allows encryption to it.
    CanEncrypt        bit NOT NULL,
    KeyAlgorithm      nvarchar(64) NOT NULL,
    -- What the recipient's client can decrypt, where it is known; NULL: unknown.
    Capabilities      nvarchar(200) COLLATE Latin1_General_BIN2 NULL,
    -- What an operator chose for this recipient, as in the configuration; NULL: the send port decides.
    Cipher            nvarchar(16) COLLATE Latin1_General_BIN2 NULL,
    RsaPadding        nvarchar(16) COLLATE Latin1_General_BIN2 NULL,
    Pem               nvarchar(max) NOT NULL,
    Source            nvarchar(400) NOT NULL,
    AddedAt           datetime2(3) NOT NULL CONSTRAINT DF_Certificate_AddedAt DEFAULT SYSUTCDATETIME(),
    AddedBy           nvarchar(128) NOT NULL CONSTRAINT DF_Certificate_AddedBy DEFAULT SUSER_SNAME(),
    RevokedAt         datetime2(3) NULL,
    RevokedReason     nvarchar(400) NULL,
    CONSTRAINT PK_Certificate PRIMARY KEY (CertificateId),
    CONSTRAINT UQ_Certificate UNIQUE (Address, Sha256Fingerprint),
    CONSTRAINT CK_Certificate_Address CHECK (Address = LOWER(Address) AND LEN(Address) >= 3),
    CONSTRAINT CK_Certificate_BoundBy_certificate_or_operator CHECK (BoundBy IN (N'certificate', N'operator')),
    CONSTRAINT CK_Certificate_Cipher CHECK (Cipher IN
        (N'aes-256-cbc', N'aes-192-cbc', N'aes-128-cbc', N'aes-256-gcm', N'aes-128-gcm', N'3des-cbc')),
    CONSTRAINT CK_Certificate_RsaPadding_pkcs1_or_oaep CHECK (RsaPadding IN (N'pkcs1', N'oaep'))
);
GO
CREATE INDEX IX_Certificate_Thumbprint ON sendport.Certificate (Thumbprint);
GO
-- The expiry warnings that were logged for a certificate, by the number of days that were left.
CREATE TABLE sendport.CertificateNotification (
    CertificateId bigint NOT NULL,
    DaysLeft      int NOT NULL,
    NotifiedAt    datetime2(3) NOT NULL CONSTRAINT DF_CertificateNotification_NotifiedAt DEFAULT SYSUTCDATETIME(),
    CONSTRAINT PK_CertificateNotification PRIMARY KEY (CertificateId, DaysLeft)
);
GO

-- ==== Tables: the instances of the service, their send ports and relays ====
GO

-- One row: the environment that this database belongs to. A service that is configured for another one refuses
-- to run, so that a restored copy sends nothing.
CREATE TABLE sendport.Environment (
    EnvironmentId int NOT NULL,
    Name          nvarchar(128) COLLATE Latin1_General_BIN2 NOT NULL,
    AdoptedAt     datetime2(3) NOT NULL,
    CONSTRAINT PK_Environment PRIMARY KEY (EnvironmentId),
    CONSTRAINT CK_Environment_EnvironmentId CHECK (EnvironmentId = 1)
);
GO
-- One row for each run of the service. All leases of an instance last until LeaseUntil.
CREATE TABLE sendport.Instance (
    InstanceId      uniqueidentifier NOT NULL,
    Name            nvarchar(256) NOT NULL,
    HostName        nvarchar(256) NOT NULL,
    ProcessId       bigint NOT NULL,
    [Version]       nvarchar(64) NOT NULL,
    StartedAt       datetime2(3) NOT NULL,
    RenewedAt       datetime2(3) NOT NULL,
    LeaseUntil      datetime2(3) NOT NULL,
    StoppedAt       datetime2(3) NULL,
    -- Why the instance sends nothing now; NULL: nothing prevents it.
    WaitingFor      nvarchar(max) NULL,
    -- Outcomes in its state folder that could not be recorded here.
    UnrecordedCount int NOT NULL CONSTRAINT DF_Instance_UnrecordedCount DEFAULT 0,
    UnrecordedSince datetime2(3) NULL,
    -- Alerts that are due and whose rows the database refuses to change.
    UnclaimedCount  int NOT NULL CONSTRAINT DF_Instance_UnclaimedCount DEFAULT 0,
    UnclaimedSince  datetime2(3) NULL,
    -- The number of instances, this one included, that share the limits of each relay. 0: the instance sends nothing
    -- yet, and the others do not count it.
    ShareCount      int NOT NULL CONSTRAINT DF_Instance_ShareCount DEFAULT 1,
    CONSTRAINT PK_Instance PRIMARY KEY (InstanceId),
    CONSTRAINT CK_Instance_ShareCount CHECK (ShareCount >= 0)
);
GO
-- The send ports of the configuration. The service writes it; changing a row has no effect.
CREATE TABLE sendport.SendPort (
    -- The profile_id of the views for Database Mail.
    SendPortId    int IDENTITY(1, 1) NOT NULL,
    Name          nvarchar(64) COLLATE Latin1_General_BIN2 NOT NULL,
    FromAddress   nvarchar(1000) NOT NULL,
    Protection    nvarchar(16) NOT NULL,
    MaxAgeSeconds bigint NOT NULL,
    LastSeenAt    datetime2(3) NOT NULL,
    -- After an attempt with an unknown end. 'retry': send again, with the same Message-ID. 'hold': hold the alert
    -- until an operator resolves it.
    InDoubt       varchar(8) COLLATE Latin1_General_BIN2 NOT NULL CONSTRAINT DF_SendPort_InDoubt DEFAULT 'retry',
    CONSTRAINT PK_SendPort PRIMARY KEY (Name),
    CONSTRAINT UQ_SendPort_SendPortId UNIQUE (SendPortId),
    CONSTRAINT CK_SendPort_InDoubt CHECK (InDoubt IN ('retry', 'hold'))
);
GO
-- The relays of each send port, in the order in which the service tries them.
CREATE TABLE sendport.SendPortRelay (
    SendPort nvarchar(64) COLLATE Latin1_General_BIN2 NOT NULL,
    Ordinal  int NOT NULL,
    Relay    nvarchar(128) COLLATE Latin1_General_BIN2 NOT NULL,
    CONSTRAINT PK_SendPortRelay PRIMARY KEY (SendPort, Ordinal)
);
GO
-- The state of each relay, as each instance sees it.
CREATE TABLE sendport.RelayState (
    InstanceId     uniqueidentifier NOT NULL,
    Relay          nvarchar(128) COLLATE Latin1_General_BIN2 NOT NULL,
    Condition      nvarchar(16) COLLATE Latin1_General_BIN2 NOT NULL,
    Since          datetime2(3) NOT NULL,
    RetryAt        datetime2(3) NULL,
    -- In the collation of Relay, which the view Queue concatenates it with.
    Reply          nvarchar(max) COLLATE Latin1_General_BIN2 NULL,
    ExplanationKey nvarchar(64) COLLATE Latin1_General_BIN2 NULL,
    -- What this instance may use of the relay now; NULL: no limit.
    Connections    int NULL,
    MessageRate    nvarchar(64) NULL,
    -- Why that is less than its share of the configured limits.
    ThrottleReason nvarchar(max) NULL,
    -- Maximum number of recipients of one transaction.
    MaxRecipients  int NULL,
    CONSTRAINT PK_RelayState PRIMARY KEY (InstanceId, Relay),
    CONSTRAINT FK_RelayState_Instance FOREIGN KEY (InstanceId) REFERENCES sendport.Instance (InstanceId) ON DELETE CASCADE,
    CONSTRAINT CK_RelayState_Condition CHECK (Condition IN (N'closed', N'open', N'half_open', N'paused'))
);
GO
-- Whether the service may try a password. A refused one is not tried again for a while, and an untested one is
-- tried by one instance alone, so that no account is locked.
CREATE TABLE sendport.RelayAuthentication (
    Relay                 nvarchar(128) COLLATE Latin1_General_BIN2 NOT NULL,
    -- A short hash that distinguishes passwords; the password cannot be recovered from it.
    CredentialFingerprint nvarchar(64) COLLATE Latin1_General_BIN2 NOT NULL,
    State                 nvarchar(16) COLLATE Latin1_General_BIN2 NOT NULL,
    StateAt               datetime2(3) NOT NULL,
    InstanceId            uniqueidentifier NULL,
    -- The last refusal, until the relay accepts the password.
    RefusedAt             datetime2(3) NULL,
    ReplyCode             int NULL,
    EnhancedStatusCode    nvarchar(16) NULL,
    ReplyText             nvarchar(max) NULL,
    -- Attempts in a row that the relay did not answer.
    UnansweredCount       int NOT NULL CONSTRAINT DF_RelayAuthentication_UnansweredCount DEFAULT 0,
    CONSTRAINT PK_RelayAuthentication PRIMARY KEY (Relay, CredentialFingerprint),
    CONSTRAINT CK_RelayAuthentication_State CHECK (State IN (N'trying', N'accepted', N'refused', N'unanswered'))
);
GO
-- Events for operators, beside the service's log.
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
CREATE INDEX IX_EventLog_AlertId ON sendport.EventLog (AlertId);
GO

-- ==== Tables: requests of operators ====
GO

-- One row for each request of an operator. The service applies it in batches; a request changes no alert itself, so
-- that an open transaction keeps nobody waiting. A column of the filter that is NULL matches every alert. Nothing
-- deletes a row: they say who did what, when, and to how many alerts.
CREATE TABLE sendport.OperatorRequest (
    RequestId      bigint IDENTITY(1, 1) NOT NULL,
    Verb           nvarchar(16) COLLATE Latin1_General_BIN2 NOT NULL,
    -- The filter.
    AlertId        bigint NULL,
    SendPort       nvarchar(64) COLLATE Latin1_General_BIN2 NULL,
    AlertName      nvarchar(128) NULL,
    Reference      nvarchar(200) COLLATE Latin1_General_BIN2 NULL,
    CreatedBy      nvarchar(128) NULL,
    -- Of a recipient.
    Relay          nvarchar(128) NULL,
    ExplanationKey nvarchar(64) COLLATE Latin1_General_BIN2 NULL,
    Status         nvarchar(16) COLLATE Latin1_General_BIN2 NULL,
    CreatedFrom    datetime2(3) NULL,
    -- Alerts that are inserted later are never cancelled or requeued.
    CreatedUntil   datetime2(3) NULL,
    -- A purge: what became final until then.
    FinalBefore    datetime2(3) NULL,
    -- A release: the hold or the redirect that ends.
    HoldRequestId  bigint NULL,
    -- Without this a request without a filter is refused.
    MatchesAll     bit NOT NULL CONSTRAINT DF_OperatorRequest_MatchesAll DEFAULT 0,
    -- A requeue: the recipients that failed, expired or were cancelled, all, or those that a redirect sent elsewhere.
    Recipients     nvarchar(16) COLLATE Latin1_General_BIN2 NULL,
    NewMessageId   bit NOT NULL CONSTRAINT DF_OperatorRequest_NewMessageId DEFAULT 0,
    -- A redirect: the one address that gets what matches.
    RedirectTo     nvarchar(320) NULL,
    -- A purge: the alerts and their statuses stay.
    BodiesOnly     bit NOT NULL CONSTRAINT DF_OperatorRequest_BodiesOnly DEFAULT 0,
    -- A resolve: what became of the message.
    Resolution     nvarchar(16) COLLATE Latin1_General_BIN2 NULL,
    Comment        nvarchar(400) NULL,
    RequestedAt    datetime2(3) NOT NULL CONSTRAINT DF_OperatorRequest_RequestedAt DEFAULT SYSUTCDATETIME(),
    RequestedBy    nvarchar(128) NOT NULL CONSTRAINT DF_OperatorRequest_RequestedBy DEFAULT SUSER_SNAME(),
    HostName       nvarchar(128) NULL CONSTRAINT DF_OperatorRequest_HostName DEFAULT HOST_NAME(),
    State          nvarchar(8) COLLATE Latin1_General_BIN2 NOT NULL CONSTRAINT DF_OperatorRequest_State DEFAULT N'open',
    -- Alerts that were changed, and alerts that could not be.
    AppliedCount   bigint NOT NULL CONSTRAINT DF_OperatorRequest_AppliedCount DEFAULT 0,
    RefusedCount   bigint NOT NULL CONSTRAINT DF_OperatorRequest_RefusedCount DEFAULT 0,
    CompletedAt    datetime2(3) NULL,
    Result         nvarchar(400) NULL,
    CONSTRAINT PK_OperatorRequest PRIMARY KEY (RequestId),
    CONSTRAINT CK_OperatorRequest_Verb CHECK (Verb IN (N'cancel', N'hold', N'release', N'requeue', N'purge', N'redirect', N'resolve')),
    CONSTRAINT CK_OperatorRequest_State_open_or_done CHECK (State IN (N'open', N'done')),
    CONSTRAINT CK_OperatorRequest_needs_a_filter_or_MatchesAll CHECK (MatchesAll = 1 OR
        COALESCE(AlertId, HoldRequestId) IS NOT NULL OR COALESCE(CreatedFrom, CreatedUntil, FinalBefore) IS NOT NULL OR
        COALESCE(SendPort, Reference, ExplanationKey, Status) IS NOT NULL OR
        COALESCE(AlertName, CreatedBy, Relay) IS NOT NULL),
    CONSTRAINT CK_OperatorRequest_hold_has_one_of_AlertId_SendPort_AlertName CHECK (Verb <> N'hold' OR
        CASE WHEN AlertId IS NULL THEN 0 ELSE 1 END + CASE WHEN SendPort IS NULL THEN 0 ELSE 1 END +
        CASE WHEN AlertName IS NULL THEN 0 ELSE 1 END = 1 AND MatchesAll = 0 AND HoldRequestId IS NULL AND
        COALESCE(Reference, ExplanationKey, Status) IS NULL AND COALESCE(CreatedBy, Relay) IS NULL AND
        COALESCE(CreatedFrom, CreatedUntil) IS NULL),
    CONSTRAINT CK_OperatorRequest_redirect_has_one_filter CHECK (Verb <> N'redirect' OR
        CASE WHEN AlertId IS NULL THEN 0 ELSE 1 END + CASE WHEN SendPort IS NULL THEN 0 ELSE 1 END +
        CASE WHEN AlertName IS NULL THEN 0 ELSE 1 END + CASE WHEN MatchesAll = 1 THEN 1 ELSE 0 END = 1 AND
        HoldRequestId IS NULL AND COALESCE(Reference, ExplanationKey, Status) IS NULL AND
        COALESCE(CreatedBy, Relay) IS NULL AND COALESCE(CreatedFrom, CreatedUntil) IS NULL),
    CONSTRAINT CK_OperatorRequest_redirect_has_RedirectTo CHECK (
        Verb = N'redirect' AND RedirectTo IS NOT NULL OR Verb <> N'redirect' AND RedirectTo IS NULL),
    -- `sendport resolve` carries it out and writes the row.
    CONSTRAINT CK_OperatorRequest_resolve_is_done_and_has_AlertId_and_Resolution CHECK (
        Verb <> N'resolve' AND Resolution IS NULL
        OR Verb = N'resolve' AND State = N'done' AND AlertId IS NOT NULL AND Resolution IS NOT NULL
           AND Resolution IN (N'relayed', N'resend', N'cancel')),
    CONSTRAINT CK_OperatorRequest_cancel_and_requeue_have_CreatedUntil CHECK (
        Verb NOT IN (N'cancel', N'requeue') OR CreatedUntil IS NOT NULL),
    CONSTRAINT CK_OperatorRequest_Recipients_failed_all_or_redirected CHECK (Recipients IN (N'failed', N'all', N'redirected')),
    CONSTRAINT CK_OperatorRequest_requeue_has_Recipients CHECK (Verb <> N'requeue' OR Recipients IS NOT NULL),
    -- Before that the counts of their minutes are not complete.
    CONSTRAINT CK_OperatorRequest_purge_has_FinalBefore_an_hour_before_RequestedAt CHECK (Verb <> N'purge' OR
        FinalBefore IS NOT NULL AND FinalBefore <= DATEADD(hour, -1, RequestedAt)),
    -- They would match no more once some of its recipients are deleted.
    CONSTRAINT CK_OperatorRequest_purge_has_no_Relay_or_ExplanationKey CHECK (
        Verb <> N'purge' OR Relay IS NULL AND ExplanationKey IS NULL)
);
GO
-- All that a claim and a load read of a request, without what the service writes while it applies it: they pass over
-- rows that are locked, and must meet every request that is committed.
CREATE INDEX IX_OperatorRequest_Open ON sendport.OperatorRequest (State, RequestId)
    INCLUDE (Verb, AlertId, SendPort, AlertName, Reference, CreatedBy, Relay, ExplanationKey, Status, CreatedFrom,
             CreatedUntil, RequestedBy, RequestedAt, Comment, RedirectTo);
GO

-- The requests of operators that changed an alert before the latest one did, which is AlertRow.RequestId: an alert that
-- one request changed has no row here.
CREATE TABLE sendport.EarlierRequest (
    AlertId   bigint NOT NULL,
    RequestId bigint NOT NULL,
    CONSTRAINT PK_EarlierRequest PRIMARY KEY (AlertId, RequestId),
    CONSTRAINT FK_EarlierRequest_AlertRow FOREIGN KEY (AlertId) REFERENCES sendport.AlertRow (AlertId) ON DELETE CASCADE
);
GO

-- ==== Tables: retention ====
GO

-- How many alerts were deleted, by the UTC day on which they became final. Counted in the transaction that deletes
-- them.
CREATE TABLE sendport.DailyCount (
    [Day]          date NOT NULL,
    SendPort       nvarchar(64) COLLATE Latin1_General_BIN2 NOT NULL,
    Status         nvarchar(16) COLLATE Latin1_General_BIN2 NOT NULL,
    AlertCount     bigint NOT NULL,
    RecipientCount bigint NOT NULL,
    CONSTRAINT PK_DailyCount PRIMARY KEY ([Day], SendPort, Status)
);
GO
-- One row: which instance deletes old rows, what was deleted today, and why it pauses. Each transaction that deletes
-- locks the row, so that only one runs at a time.
CREATE TABLE sendport.RetentionState (
    RetentionStateId int NOT NULL,
    InstanceId       uniqueidentifier NULL,
    -- Until then no other instance deletes.
    LeaseUntil       datetime2(3) NULL,
    -- When the present round began; NULL: the last one has ended.
    RunningSince     datetime2(3) NULL,
    UpdatedAt        datetime2(3) NULL,
    PausedReason     nvarchar(400) NULL,
    -- Of the final alerts that are still there.
    OldestFinalAt    datetime2(3) NULL,
    OldestBodyAt     datetime2(3) NULL,
    -- The UTC day of the counts.
    [Day]            date NOT NULL,
    PurgedAlerts     bigint NOT NULL CONSTRAINT DF_RetentionState_PurgedAlerts DEFAULT 0,
    PurgedBodies     bigint NOT NULL CONSTRAINT DF_RetentionState_PurgedBodies DEFAULT 0,
    PurgedRows       bigint NOT NULL CONSTRAINT DF_RetentionState_PurgedRows DEFAULT 0,
    PurgedBytes      bigint NOT NULL CONSTRAINT DF_RetentionState_PurgedBytes DEFAULT 0,
    CONSTRAINT PK_RetentionState PRIMARY KEY (RetentionStateId),
    CONSTRAINT CK_RetentionState_RetentionStateId CHECK (RetentionStateId = 1)
);
GO

-- The final alerts of each minute, by the minute of FinalAt, send port, status and the relay of the last attempt ('': there
-- was none). The service counts closed minutes; a minute is counted again until nothing can be added to it.
CREATE TABLE sendport.MinuteCount (
    [Minute]       datetime2(3) NOT NULL,
    SendPort       nvarchar(64) COLLATE Latin1_General_BIN2 NOT NULL,
    Relay          nvarchar(128) COLLATE Latin1_General_BIN2 NOT NULL,
    Status         nvarchar(16) COLLATE Latin1_General_BIN2 NOT NULL,
    AlertCount     bigint NOT NULL,
    RecipientCount bigint NOT NULL,
    AttemptCount   bigint NOT NULL,
    CONSTRAINT PK_MinuteCount PRIMARY KEY ([Minute], SendPort, Relay, Status)
);
GO
-- How long alerts that were relayed took, a histogram for each minute and send port: so many alerts took no longer than
-- UpToMs, and longer than the bound before. The time begins with the insert, with NotBefore, or with a requeue.
CREATE TABLE sendport.MinuteLatency (
    [Minute]   datetime2(3) NOT NULL,
    SendPort   nvarchar(64) COLLATE Latin1_General_BIN2 NOT NULL,
    UpToMs     bigint NOT NULL,
    AlertCount bigint NOT NULL,
    CONSTRAINT PK_MinuteLatency PRIMARY KEY ([Minute], SendPort, UpToMs)
);
GO
-- One row: up to which minute alerts are counted.
CREATE TABLE sendport.RollupState (
    RollupStateId int NOT NULL,
    CountedTo     datetime2(3) NOT NULL,
    UpdatedAt     datetime2(3) NOT NULL,
    CONSTRAINT PK_RollupState PRIMARY KEY (RollupStateId),
    CONSTRAINT CK_RollupState_RollupStateId CHECK (RollupStateId = 1)
);
GO

-- Minutes that a late outcome changed: it came from a state folder, without the lease, and the alert was final. The service
-- counts them again, and deletes the row.
CREATE TABLE sendport.MinuteRecount (
    MinuteRecountId bigint IDENTITY(1, 1) NOT NULL,
    [Minute]        datetime2(3) NOT NULL,
    CONSTRAINT PK_MinuteRecount PRIMARY KEY (MinuteRecountId)
);
GO

-- ==== Types: the service records many outcomes in one statement ====
GO

CREATE TYPE sendport.OutcomeList AS TABLE (
    AlertId             bigint NOT NULL PRIMARY KEY,
    LeaseToken          uniqueidentifier NULL,
    SeenStatusAt        datetime2(3) NULL,
    Status              nvarchar(16) COLLATE Latin1_General_BIN2 NULL,
    RetryInMs           bigint NULL,
    StatusReason        nvarchar(max) NULL,
    StatusReasonCode    nvarchar(32) COLLATE Latin1_General_BIN2 NULL,
    TemplateVersion     nvarchar(128) NULL,
    AttemptKey          uniqueidentifier NULL,
    AttemptNumber       int NULL,
    Outcome             nvarchar(16) COLLATE Latin1_General_BIN2 NULL,
    Relay               nvarchar(128) NULL,
    StartedAt           datetime2(3) NULL,
    EndedAt             datetime2(3) NULL,
    MessageId           nvarchar(1000) NULL,
    SizeBytes           bigint NULL,
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
    RedirectTo          nvarchar(320) NULL,
    OffersDsn           int NULL,
    -- The answer of the first of several calls for one outcome.
    Recorded            int NULL
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
    Remark             nvarchar(400) NULL,
    RedirectTo         nvarchar(320) NULL,
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

-- ==== Views for applications ====
GO

-- Applications insert here. CreatedAt and CreatedBy are expressions, so that an insert cannot set them. A writer
-- may read the keys alone: a predicate on another column could be evaluated on rows of other writers. The
-- columns are listed first because Babelfish grants on columns only where they are.
CREATE VIEW sendport.Alert (
    AlertId, PublicId, ToRecipients, CcRecipients, BccRecipients, FromAddress, ReplyTo, Subject, Body,
    BodyFormat, Template, Payload, Language, AlertName, Severity, Source, Reference, SendPort, Priority,
    Importance, Sensitivity, Headers, DeliveryReceipt, ReadReceipt, ReplyBy, Protection, DedupKey,
    NotBefore, ExpiresAt, FileAttachments, CreatedAt, CreatedBy) AS
SELECT AlertId, PublicId, ToRecipients, CcRecipients, BccRecipients, FromAddress, ReplyTo, Subject, Body,
       BodyFormat, Template, Payload, Language, AlertName, Severity, Source, Reference, SendPort, Priority,
       Importance, Sensitivity, Headers, DeliveryReceipt, ReadReceipt, ReplyBy, Protection, DedupKey,
       NotBefore, ExpiresAt, FileAttachments,
       DATEADD(millisecond, 0, CreatedAt), CreatedBy + N''
FROM sendport.AlertRow
WHERE CreatedBy = SUSER_SNAME() OR IS_MEMBER(N'sendport_reader') = 1 OR IS_MEMBER(N'sendport_service') = 1
   OR IS_MEMBER(N'db_owner') = 1 OR USER_NAME() = N'dbo';
GO
-- Applications insert files here, in the transaction that inserts the alert, for an alert of their own that waits
-- for its first attempt. CHECK OPTION checks that once, at the insert; a CHECK constraint of the table would be
-- checked again by an import or a repair, when the alert was sent long ago. The lock keeps the alert from being
-- claimed until the transaction ends, so that no file is added after a claim; FORCESEEK, so that no other
-- alert is locked.
CREATE VIEW sendport.Attachment (
    AttachmentId, AlertId, FileName, MediaType, Content, Disposition, ContentId, Description, TransferEncoding) AS
SELECT AttachmentId, AlertId, FileName, MediaType, Content, Disposition, ContentId, Description, TransferEncoding
FROM sendport.AttachmentRow r
WHERE EXISTS (SELECT 1 FROM sendport.AlertRow a WITH (UPDLOCK, ROWLOCK, FORCESEEK (PK_AlertRow (AlertId)))
              WHERE a.AlertId = r.AlertId AND a.Status = N'queued' AND a.AttemptCount = 0
                AND a.CreatedBy = SUSER_SNAME())
WITH CHECK OPTION;
GO

-- ==== Views for operators ====
GO

-- One row per alert.
CREATE VIEW sendport.AlertStatus AS
SELECT a.AlertId, a.PublicId, a.Reference, a.Source, a.AlertName, a.Severity, a.Subject, a.SendPort, a.Priority,
       a.Status, a.StatusAt, CASE WHEN a.Status <> N'sending' THEN a.StatusReason END AS StatusReason,
       a.AttemptCount, a.DueAt AS NextAttemptAt,
       (SELECT COUNT(*) FROM sendport.Recipient r WHERE r.AlertId = a.AlertId) AS RecipientCount,
       (SELECT COUNT(*) FROM sendport.Recipient r WHERE r.AlertId = a.AlertId AND r.Status = N'relayed') AS RelayedCount,
       (SELECT COUNT(*) FROM sendport.Recipient r WHERE r.AlertId = a.AlertId AND r.Status IN (N'queued', N'delayed')) AS WaitingCount,
       (SELECT COUNT(*) FROM sendport.Recipient r WHERE r.AlertId = a.AlertId AND r.Status IN (N'failed', N'expired')) AS FailedCount,
       a.FinalAt, a.BodyPurgedAt, a.CreatedAt, a.CreatedBy, a.Origin,
       (SELECT COUNT(*) FROM sendport.RecipientFeedback f
        WHERE f.AlertId = a.AlertId AND f.IsCurrent = 1 AND f.Outcome IN (N'delivered', N'read')) AS DeliveredCount,
       (SELECT COUNT(*) FROM sendport.RecipientFeedback f
        WHERE f.AlertId = a.AlertId AND f.IsCurrent = 1 AND f.Outcome IN (N'bounced', N'expired')) AS BouncedCount
FROM sendport.AlertRow a;
GO
-- One row per recipient: status, the relay's reply, cause and advice; and the protection of the message in the
-- latest attempt that has a reply for this recipient.
CREATE VIEW sendport.Delivery AS
SELECT r.AlertId, a.PublicId, a.Reference, a.SendPort, r.Ordinal, r.Kind, r.Address, r.DisplayName,
       r.Status, r.StatusAt, r.AttemptCount,
       CASE WHEN r.Status IN (N'queued', N'delayed') THEN a.DueAt END AS NextAttemptAt,
       r.Relay, r.Command, r.ReplyCode, r.EnhancedStatusCode, r.ReplyText,
       e.Fault, e.Cause, e.Advice, r.Remark, a.Subject, a.CreatedAt, a.CreatedBy,
       t.MessageId, t.Protection, t.SignedBy, t.SignatureAlgorithm, t.EncryptedTo, t.EncryptionAlgorithm,
       t.HeaderProtection,
       f.Outcome AS ReportedOutcome, f.ReportedAt, f.ReportedBy, f.BounceClass AS ReportedClass,
       f.ReplyCode AS ReportedReplyCode, f.EnhancedStatusCode AS ReportedEnhancedStatusCode,
       f.ReplyText AS ReportedText, g.Cause AS ReportedCause, g.Advice AS ReportedAdvice
FROM sendport.Recipient r
JOIN sendport.AlertRow a ON a.AlertId = r.AlertId
LEFT JOIN sendport.ReplyExplanation e ON e.ExplanationKey = r.ExplanationKey
LEFT JOIN sendport.RecipientFeedback f ON f.AlertId = r.AlertId AND f.Ordinal = r.Ordinal AND f.IsCurrent = 1
LEFT JOIN sendport.ReplyExplanation g ON g.ExplanationKey = f.ExplanationKey
LEFT JOIN sendport.Attempt t ON t.AttemptId = (SELECT MAX(x.AttemptId)
                                               FROM sendport.Attempt x
                                               JOIN sendport.AttemptReply p ON p.AttemptId = x.AttemptId
                                               WHERE x.AlertId = r.AlertId AND p.RecipientOrdinal = r.Ordinal);
GO
-- Recipients that failed or expired, with the reason. An alert without a readable recipient has one row here.
CREATE VIEW sendport.FailedDelivery AS
SELECT a.AlertId, a.PublicId, a.Reference, a.SendPort, r.Ordinal, r.Kind, r.Address, r.Status, r.StatusAt,
       r.Relay, r.Command, r.ReplyCode, r.EnhancedStatusCode,
       COALESCE(N'redirected to ' + r.RedirectTo + N': ', N'') + r.ReplyText AS Reason, e.Fault, e.Cause, e.Advice,
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
-- One row for each alert that may have been sent: not final, not leased, and its latest attempt has an unknown
-- end. READUNCOMMITTED: it waits for no transaction, and locks nothing.
CREATE VIEW sendport.InDoubt AS
SELECT a.AlertId, a.PublicId, a.Reference, a.SendPort, a.Subject, a.Status, a.StatusReason,
       t.AttemptId, t.AttemptNumber, t.Relay, t.MessageId, t.StartedAt, t.EndedAt, t.RemoteAddress,
       a.DueAt AS NextAttemptAt, a.CreatedAt, a.CreatedBy
FROM sendport.AlertRow a WITH (READUNCOMMITTED)
JOIN sendport.Attempt t WITH (READUNCOMMITTED) ON t.AlertId = a.AlertId
WHERE a.Status IN (N'queued', N'delayed', N'held') AND a.AttemptCount > 0
  AND t.Outcome = N'unknown'
  -- Recipients that the relay refused in an attempt that an operator resolved as relayed may wait.
  AND NOT EXISTS (SELECT 1 FROM sendport.OperatorRequest q WITH (READUNCOMMITTED)
                  WHERE q.RequestId = t.ResolveRequestId AND q.Resolution = N'relayed')
  AND NOT EXISTS (SELECT 1 FROM sendport.Attempt l WITH (READUNCOMMITTED)
                  WHERE l.AlertId = t.AlertId
                    AND (l.AttemptNumber > t.AttemptNumber
                         OR (l.AttemptNumber = t.AttemptNumber AND l.AttemptId > t.AttemptId)))
  AND (a.CreatedBy = SUSER_SNAME() OR IS_MEMBER(N'sendport_reader') = 1 OR IS_MEMBER(N'sendport_service') = 1
       OR IS_MEMBER(N'db_owner') = 1 OR USER_NAME() = N'dbo');
GO
-- Depth and oldest age of the alerts that are not final, by send port and status, and what they wait for.
-- READUNCOMMITTED, here and in Relay: the view waits for no transaction, and in a serializable transaction it locks
-- nothing that the service writes. So the depth is approximate: uncommitted rows may be counted.
CREATE VIEW sendport.Queue AS
SELECT q.SendPort, q.Status, q.Depth, q.OldestAt,
       DATEDIFF(second, q.OldestAt, SYSUTCDATETIME()) AS OldestAgeSeconds,
       q.NextDueAt,
       CASE
           WHEN q.Status = N'sending'
               THEN COALESCE((SELECT TOP (1) CASE WHEN i.StoppedAt IS NOT NULL OR i.LeaseUntil <= SYSUTCDATETIME()
                                         THEN N'leased to instance ' + i.Name COLLATE Latin1_General_BIN2 +
                                              N', whose lease ended at ' + CONVERT(nvarchar(30), i.LeaseUntil, 126) +
                                              N'Z: a running instance takes them over'
                                         WHEN i.WaitingFor IS NOT NULL
                                         THEN N'instance ' + i.Name COLLATE Latin1_General_BIN2 + N': ' +
                                              i.WaitingFor COLLATE Latin1_General_BIN2
                                         ELSE CONVERT(nvarchar(10), i.UnrecordedCount) +
                                              N' outcomes not recorded by instance ' + i.Name COLLATE Latin1_General_BIN2 +
                                              N' since ' + CONVERT(nvarchar(30), i.UnrecordedSince, 126) +
                                              N'Z: see EventLog' END
                     FROM sendport.Instance i WITH (READUNCOMMITTED)
                     WHERE (i.UnrecordedCount > 0 OR i.StoppedAt IS NOT NULL OR i.LeaseUntil <= SYSUTCDATETIME())
                       AND EXISTS (SELECT 1 FROM sendport.AlertRow s WITH (READUNCOMMITTED)
                                   WHERE s.LeaseOwner = i.InstanceId AND s.SendPort = q.SendPort)
                     ORDER BY i.LeaseUntil),
                    (SELECT TOP (1) N'relay ' + rs.Relay COLLATE Latin1_General_BIN2 + N': ' + rs.Reply COLLATE Latin1_General_BIN2
                     FROM sendport.SendPortRelay pr WITH (READUNCOMMITTED)
                     JOIN sendport.RelayState rs WITH (READUNCOMMITTED) ON rs.Relay = pr.Relay
                     JOIN sendport.Instance i WITH (READUNCOMMITTED) ON i.InstanceId = rs.InstanceId
                     WHERE pr.SendPort = q.SendPort AND rs.ExplanationKey = N'relay-unresponsive' AND i.StoppedAt IS NULL
                       AND i.LeaseUntil > SYSUTCDATETIME()
                     ORDER BY pr.Ordinal))
           WHEN q.Status = N'held' AND q.IsCancelling = 1
               THEN N'cancelled by an operator: the service ends them in batches'
           WHEN q.Status IN (N'queued', N'delayed') AND q.HeldBy IS NOT NULL THEN q.HeldBy
           WHEN q.Status = N'held' AND q.InDoubtCount = 0 THEN N'held by an operator until released'
           WHEN q.Status = N'held' AND q.InDoubtCount = q.Depth THEN N'held in doubt: see the view InDoubt'
           WHEN q.Status = N'held'
               THEN CONVERT(nvarchar(20), q.InDoubtCount) + N' held in doubt: see the view InDoubt; ' +
                    N'the others held by an operator until released'
           WHEN q.IsRunning = 0 THEN N'no instance of the service is running'
           WHEN q.IsKnown = 0
               -- The sweep has written which name is similar.
               THEN COALESCE((SELECT TOP (1) s.StatusReason COLLATE Latin1_General_BIN2
                              FROM sendport.AlertRow s WITH (READUNCOMMITTED)
                              WHERE s.SendPort = q.SendPort AND s.Priority IN (N'urgent', N'normal', N'low')
                                AND s.DueAt = q.NextDueAt AND s.StatusReasonCode = N'no-such-send-port'),
                             N'no running instance has a send port named ''' + q.SendPort COLLATE Latin1_General_BIN2 + N'''')
           WHEN NOT EXISTS (SELECT 1 FROM sendport.Instance i WITH (READUNCOMMITTED) WHERE i.WaitingFor IS NULL AND i.StoppedAt IS NULL
                            AND i.LeaseUntil > SYSUTCDATETIME())
               THEN (SELECT TOP (1) N'instance ' + i.Name COLLATE Latin1_General_BIN2 + N': ' +
                            i.WaitingFor COLLATE Latin1_General_BIN2
                     FROM sendport.Instance i WITH (READUNCOMMITTED)
                     WHERE i.WaitingFor IS NOT NULL AND i.StoppedAt IS NULL AND i.LeaseUntil > SYSUTCDATETIME()
                     ORDER BY i.StartedAt)
           WHEN NOT EXISTS (SELECT 1 FROM sendport.SendPortRelay pr WITH (READUNCOMMITTED)
                            JOIN sendport.RelayState rs WITH (READUNCOMMITTED) ON rs.Relay = pr.Relay
                            JOIN sendport.Instance i WITH (READUNCOMMITTED) ON i.InstanceId = rs.InstanceId
                            WHERE pr.SendPort = q.SendPort AND rs.Condition = N'closed' AND i.StoppedAt IS NULL
                              AND i.LeaseUntil > SYSUTCDATETIME())
               THEN (SELECT TOP (1) N'relay ' + rs.Relay + N' ' +
                            CASE rs.Condition WHEN N'paused' THEN N'paused' ELSE N'unavailable' END +
                            N' since ' + CONVERT(nvarchar(30), rs.Since, 126) + N'Z' +
                            COALESCE(N', tried again at ' + CONVERT(nvarchar(30), rs.RetryAt, 126) + N'Z', N'') +
                            COALESCE(N': ' + rs.Reply, N'')
                     FROM sendport.SendPortRelay pr WITH (READUNCOMMITTED)
                     JOIN sendport.RelayState rs WITH (READUNCOMMITTED) ON rs.Relay = pr.Relay
                     JOIN sendport.Instance i WITH (READUNCOMMITTED) ON i.InstanceId = rs.InstanceId
                     WHERE pr.SendPort = q.SendPort AND i.StoppedAt IS NULL
                     ORDER BY pr.Ordinal, rs.Since)
           WHEN q.NextDueAt > SYSUTCDATETIME()
               THEN COALESCE((SELECT TOP (1) s.StatusReason COLLATE Latin1_General_BIN2 + N', '
                              FROM sendport.AlertRow s WITH (READUNCOMMITTED)
                              WHERE s.SendPort = q.SendPort AND s.Priority IN (N'urgent', N'normal', N'low')
                                AND s.DueAt = q.NextDueAt AND s.Status = q.Status AND s.StatusReason IS NOT NULL), N'') +
                    N'due at ' + CONVERT(nvarchar(30), q.NextDueAt, 126) + N'Z'
           ELSE COALESCE((SELECT TOP (1) CONVERT(nvarchar(10), i.UnclaimedCount) + N' alerts refused by the database to instance ' +
                                 i.Name COLLATE Latin1_General_BIN2 + N' since ' +
                                 CONVERT(nvarchar(30), i.UnclaimedSince, 126) + N'Z: see EventLog'
                          FROM sendport.Instance i WITH (READUNCOMMITTED)
                          WHERE i.UnclaimedCount > 0 AND i.UnclaimedSince >= q.NextDueAt AND i.StoppedAt IS NULL
                            AND i.LeaseUntil > SYSUTCDATETIME()
                          ORDER BY i.UnclaimedSince),
               -- Due again, and released the last time: among many that wait for each other one always is.
               CASE q.Status WHEN N'queued' THEN (SELECT TOP (1) s.StatusReason COLLATE Latin1_General_BIN2
                          FROM sendport.AlertRow s WITH (READUNCOMMITTED)
                          WHERE s.SendPort = q.SendPort AND s.Priority IN (N'urgent', N'normal', N'low')
                            AND s.DueAt = q.NextDueAt AND s.Status = q.Status AND s.StatusReason IS NOT NULL) END,
               -- Of the relay that is asked first; NULL where an instance may use all of its share.
               (SELECT TOP (1) N'relay ' + rs.Relay COLLATE Latin1_General_BIN2 + N': ' +
                       rs.ThrottleReason COLLATE Latin1_General_BIN2
                FROM sendport.SendPortRelay pr WITH (READUNCOMMITTED)
                JOIN sendport.RelayState rs WITH (READUNCOMMITTED) ON rs.Relay = pr.Relay
                JOIN sendport.Instance i WITH (READUNCOMMITTED) ON i.InstanceId = rs.InstanceId
                WHERE pr.SendPort = q.SendPort AND rs.Condition = N'closed' AND i.StoppedAt IS NULL
                  AND i.LeaseUntil > SYSUTCDATETIME()
                ORDER BY pr.Ordinal, CASE WHEN rs.ThrottleReason IS NULL THEN 0 ELSE 1 END))
       END AS WaitingFor,
       CAST(q.IsRunning * q.IsKnown AS bit) AS HasInstance
FROM (SELECT g.SendPort, g.Status, g.Depth, g.OldestAt, g.NextDueAt,
             CASE WHEN EXISTS (SELECT 1 FROM sendport.Instance i WITH (READUNCOMMITTED) WHERE i.StoppedAt IS NULL
                               AND i.LeaseUntil > SYSUTCDATETIME()) THEN 1 ELSE 0 END AS IsRunning,
             CASE WHEN EXISTS (SELECT 1 FROM sendport.SendPort p WITH (READUNCOMMITTED) WHERE p.Name = g.SendPort
                               AND p.LastSeenAt > DATEADD(minute, -2, SYSUTCDATETIME())) THEN 1 ELSE 0 END AS IsKnown,
             (SELECT TOP (1) N'the send port is held by ' + o.RequestedBy COLLATE Latin1_General_BIN2 + N' since ' +
                     CONVERT(nvarchar(30), o.RequestedAt, 126) + N'Z' +
                     COALESCE(N': ' + o.Comment COLLATE Latin1_General_BIN2, N'')
              FROM sendport.OperatorRequest o WITH (READUNCOMMITTED)
              WHERE o.State = N'open' AND o.Verb = N'hold' AND o.SendPort = g.SendPort
              ORDER BY o.RequestId) AS HeldBy,
             CASE WHEN g.Status = N'held'
                       AND NOT EXISTS (SELECT 1 FROM sendport.AlertRow h WITH (READUNCOMMITTED)
                                       WHERE h.Status = N'held' AND h.SendPort = g.SendPort
                                         AND COALESCE(h.StatusReasonCode, N'') <> N'cancelling') THEN 1 ELSE 0 END AS IsCancelling,
             -- AttemptCount is in the index: alerts without an attempt need no look-up.
             CASE WHEN g.Status = N'held'
                  THEN (SELECT COUNT(*) FROM sendport.AlertRow h WITH (READUNCOMMITTED)
                        WHERE h.Status = N'held' AND h.SendPort = g.SendPort AND h.AttemptCount > 0
                          AND h.StatusReasonCode = N'in-doubt'
                          AND (h.CreatedBy = SUSER_SNAME() OR IS_MEMBER(N'sendport_reader') = 1
                               OR IS_MEMBER(N'sendport_service') = 1 OR IS_MEMBER(N'db_owner') = 1
                               OR USER_NAME() = N'dbo')) END AS InDoubtCount
      FROM (SELECT SendPort, Status, COUNT(*) AS Depth, MIN(CreatedAt) AS OldestAt, MIN(DueAt) AS NextDueAt
            FROM sendport.AlertRow WITH (READUNCOMMITTED)
            WHERE Status IN (N'queued', N'sending', N'delayed', N'held')
              AND (CreatedBy = SUSER_SNAME() OR IS_MEMBER(N'sendport_reader') = 1 OR IS_MEMBER(N'sendport_service') = 1
                   OR IS_MEMBER(N'db_owner') = 1 OR USER_NAME() = N'dbo')
            GROUP BY SendPort, Status) g) q;
GO
-- One row per relay of the running instances: the worst condition that one of them reports, the number of instances
-- in each condition, what they may use together, and the result of the latest authentication.
CREATE VIEW sendport.Relay AS
WITH Running AS (
    SELECT rs.InstanceId, rs.Relay, rs.Condition, rs.Since, rs.RetryAt, rs.Reply, rs.ExplanationKey,
           rs.Connections, rs.MessageRate, rs.ThrottleReason, rs.MaxRecipients,
           ROW_NUMBER() OVER (PARTITION BY rs.Relay ORDER BY
               CASE rs.Condition WHEN N'paused' THEN 1 WHEN N'open' THEN 2 WHEN N'half_open' THEN 3 ELSE 4 END,
               rs.Since, rs.InstanceId) AS Place
    FROM sendport.RelayState rs WITH (READUNCOMMITTED)
    JOIN sendport.Instance i WITH (READUNCOMMITTED) ON i.InstanceId = rs.InstanceId
    WHERE i.StoppedAt IS NULL AND i.LeaseUntil > SYSUTCDATETIME()
), Total AS (
    SELECT Relay, COUNT(*) AS InstanceCount,
           SUM(CASE WHEN Condition = N'closed' THEN 1 ELSE 0 END) AS ClosedCount,
           SUM(CASE WHEN Condition = N'half_open' THEN 1 ELSE 0 END) AS HalfOpenCount,
           SUM(CASE WHEN Condition = N'open' THEN 1 ELSE 0 END) AS OpenCount,
           SUM(CASE WHEN Condition = N'paused' THEN 1 ELSE 0 END) AS PausedCount,
           CASE WHEN COUNT(Connections) = COUNT(*) THEN SUM(Connections) END AS Connections,
           CASE WHEN COUNT(MessageRate) = COUNT(*) THEN STRING_AGG(CONVERT(nvarchar(max), MessageRate), N' + ') END AS MessageRate,
           MAX(ThrottleReason) AS ThrottleReason,
           MIN(MaxRecipients) AS MaxRecipients
    FROM Running GROUP BY Relay
), LatestAuth AS (
    SELECT s.Relay, s.State, s.StateAt, s.RefusedAt, s.ReplyCode, s.EnhancedStatusCode, s.ReplyText,
           ROW_NUMBER() OVER (PARTITION BY s.Relay ORDER BY s.StateAt DESC, s.CredentialFingerprint) AS Place
    FROM sendport.RelayAuthentication s WITH (READUNCOMMITTED)
)
SELECT w.Relay, w.Condition, w.Since, w.RetryAt, w.Reply, e.Cause, e.Advice,
       t.InstanceCount, t.ClosedCount, t.HalfOpenCount, t.OpenCount, t.PausedCount,
       t.Connections, t.MessageRate, t.ThrottleReason, t.MaxRecipients,
       s.State AS Authentication, s.StateAt AS AuthenticationAt,
       CASE s.State WHEN N'refused' THEN DATEADD(minute, 15, s.RefusedAt)
                    WHEN N'trying' THEN DATEADD(minute, 5, s.StateAt) END AS AuthenticationRetryAt,
       COALESCE(CONVERT(nvarchar(10), NULLIF(s.ReplyCode, 0)) + N' ', N'') + COALESCE(s.EnhancedStatusCode + N' ', N'') +
           s.ReplyText AS AuthenticationReply,
       (SELECT STRING_AGG(CONVERT(nvarchar(max), n.SendPort), N', ') WITHIN GROUP (ORDER BY n.SendPort)
        FROM (SELECT DISTINCT pr.SendPort
              FROM sendport.SendPortRelay pr WITH (READUNCOMMITTED)
              JOIN sendport.SendPort p WITH (READUNCOMMITTED) ON p.Name = pr.SendPort
              WHERE pr.Relay = w.Relay AND p.LastSeenAt > DATEADD(minute, -2, SYSUTCDATETIME())) n) AS SendPorts
FROM Running w
JOIN Total t ON t.Relay = w.Relay
LEFT JOIN LatestAuth s ON s.Relay = w.Relay AND s.Place = 1
LEFT JOIN sendport.ReplyExplanation e WITH (READUNCOMMITTED) ON e.ExplanationKey = w.ExplanationKey
WHERE w.Place = 1;
GO
-- Why an alert has its status, what happens next, and what a person can do: one sentence a row, in the order of Part,
-- At and Number. The procedure Why shows it for one alert.
CREATE VIEW sendport.AlertExplanation AS
WITH AlertAge AS (
    -- From when on its age counts, and the age at which it expires; a NotBefore near the end of time would overflow.
    SELECT a.AlertId, p.MaxAgeSeconds,
           CASE WHEN a.NotBefore > DATEADD(second, -p.MaxAgeSeconds, CONVERT(datetime2(3), N'9999-12-31'))
                THEN DATEADD(second, -p.MaxAgeSeconds, CONVERT(datetime2(3), N'9999-12-31'))
                WHEN a.NotBefore > COALESCE(a.RequeuedAt, a.CreatedAt) THEN a.NotBefore
                ELSE COALESCE(a.RequeuedAt, a.CreatedAt) END AS QueuedAt
    FROM sendport.AlertRow a
    JOIN sendport.SendPort p ON p.Name = a.SendPort
    WHERE a.FinalAt IS NULL AND p.MaxAgeSeconds IS NOT NULL
), AlertDetail AS (
    SELECT a.AlertId,
           -- When it expires; NULL if no instance has published its send port.
           (SELECT CASE WHEN a.ExpiresAt > COALESCE(a.RequeuedAt, a.CreatedAt)
                         AND a.ExpiresAt < DATEADD(second, n.MaxAgeSeconds, n.QueuedAt) THEN a.ExpiresAt
                        ELSE DATEADD(second, n.MaxAgeSeconds, n.QueuedAt) END
            FROM AlertAge n WHERE n.AlertId = a.AlertId) AS LastAt,
           -- The open cancel or hold that changes it. A cancel goes before a hold. A hold of its send port changes no alert
           -- that waits: see Queue.
           CASE WHEN a.Status IN (N'queued', N'sending', N'delayed')
                THEN (SELECT TOP (1) o.RequestId FROM sendport.OperatorRequest o WITH (READUNCOMMITTED)
                      WHERE o.State = N'open' AND o.Verb IN (N'cancel', N'hold')
                        AND (o.AlertId IS NULL OR o.AlertId = a.AlertId) AND (o.SendPort IS NULL OR o.SendPort = a.SendPort)
                        AND (o.AlertName IS NULL OR o.AlertName = a.AlertName) AND (o.Reference IS NULL OR o.Reference = a.Reference)
                        AND (o.CreatedBy IS NULL OR o.CreatedBy = a.CreatedBy)
                        AND (o.CreatedFrom IS NULL OR o.CreatedFrom <= a.CreatedAt) AND (o.CreatedUntil IS NULL OR o.CreatedUntil >= a.CreatedAt)
                        AND (o.Verb <> N'cancel' OR a.RequeuedAt IS NULL OR a.RequeuedAt <= o.RequestedAt)
                        AND (o.Status IS NULL AND o.Relay IS NULL AND o.ExplanationKey IS NULL
                             OR a.Status <> N'sending' AND (o.Status IS NULL OR o.Status = a.Status)
                                AND (o.Relay IS NULL AND o.ExplanationKey IS NULL
                                     OR EXISTS (SELECT 1 FROM sendport.Recipient r
                                                WHERE r.AlertId = a.AlertId AND r.Status <> N'relayed'
                                                  AND (o.Relay IS NULL OR r.Relay = o.Relay)
                                                  AND (o.ExplanationKey IS NULL OR r.ExplanationKey = o.ExplanationKey))))
                        AND (a.Status = N'sending' OR o.Verb = N'cancel' OR o.SendPort IS NULL)
                      ORDER BY o.Verb, o.RequestId) END AS RequestId,
           -- By what the relay's log shows whether it was sent; NULL if the end of its latest attempt was observed, or an
           -- operator resolved it as relayed.
           (SELECT TOP (1) CASE WHEN t.Outcome = N'unknown'
                                     AND NOT EXISTS (SELECT 1 FROM sendport.OperatorRequest q WITH (READUNCOMMITTED)
                                                     WHERE q.RequestId = t.ResolveRequestId AND q.Resolution = N'relayed')
                                THEN COALESCE(N'Message-ID ' + t.MessageId COLLATE Latin1_General_BIN2,
                                              N'PublicId ' + LOWER(CONVERT(nvarchar(36), a.PublicId)) COLLATE Latin1_General_BIN2 +
                                              N', which is the left side of the Message-ID') END
            FROM sendport.Attempt t WHERE t.AlertId = a.AlertId
            ORDER BY t.AttemptNumber DESC, t.AttemptId DESC) AS InDoubtAs,
           -- The database has refused to change it.
           CASE WHEN EXISTS (SELECT 1 FROM sendport.EventLog e WITH (READUNCOMMITTED)
                             WHERE e.AlertId = a.AlertId AND e.EventType = N'request-refused') THEN 1 ELSE 0 END AS IsRefused
    FROM sendport.AlertRow a
), RequestSentence AS (
    SELECT q.RequestId, q.RequestedAt,
           q.RequestedBy COLLATE Latin1_General_BIN2 +
           CASE q.Verb WHEN N'resolve' THEN N' resolved the alert as ' + q.Resolution COLLATE Latin1_General_BIN2
                       ELSE N' requested ' + q.Verb COLLATE Latin1_General_BIN2 END +
           COALESCE(N' to ' + q.RedirectTo COLLATE Latin1_General_BIN2, N'') + N', request ' + CONVERT(nvarchar(20), q.RequestId) +
           COALESCE(N': ' + q.Comment COLLATE Latin1_General_BIN2, N'') AS Sentence
    FROM sendport.OperatorRequest q WITH (READUNCOMMITTED)
)
-- What happened.
SELECT a.AlertId, 1 AS Part, CAST(0 AS bigint) AS Number, N'history' AS Kind, a.CreatedAt AS At,
       CASE WHEN a.Origin IN (N'digest', N'report') THEN N'the service inserted the alert'
            WHEN m.AlertId IS NOT NULL
            THEN COALESCE(COALESCE(N'user ' + m.UserName COLLATE Latin1_General_BIN2 + N' at ', N'') +
                              m.ClientAddress COLLATE Latin1_General_BIN2,
                          N'user ' + m.UserName COLLATE Latin1_General_BIN2, N'a program') +
                 COALESCE(N' (' + m.HeloName COLLATE Latin1_General_BIN2 + N')', N'') + N' submitted the message ' +
                 CASE a.Origin WHEN N'pickup' THEN N'as a file ' WHEN N'sendmail' THEN N'with sendmail ' ELSE N'' END +
                 N'to intake ''' + m.Intake COLLATE Latin1_General_BIN2 + N''''
            ELSE a.CreatedBy COLLATE Latin1_General_BIN2 + N' inserted the alert' END +
       N' for send port ''' + a.SendPort COLLATE Latin1_General_BIN2 + N'''' +
       CASE a.Origin WHEN N'digest' THEN N', to report failures'
                     WHEN N'report' THEN N', to report to the sender' + COALESCE(N' of alert ' + CONVERT(nvarchar(20),
                         (SELECT MIN(d.AlertId) FROM sendport.DeliveryReport d WHERE d.ReportAlertId = a.AlertId)), N'')
                     ELSE N'' END AS Sentence
FROM sendport.AlertRow a
LEFT JOIN sendport.ReceivedMessage m ON m.AlertId = a.AlertId
UNION ALL
SELECT t.AlertId, 1, t.AttemptId, N'history', t.EndedAt,
       N'attempt ' + CONVERT(nvarchar(10), t.AttemptNumber) + COALESCE(N' over relay ''' + t.Relay COLLATE Latin1_General_BIN2 + N'''', N'') +
       COALESCE(N', redirected to ' + t.RedirectTo COLLATE Latin1_General_BIN2 + N' alone', N'') + N': ' +
       CASE t.Outcome
           WHEN N'relayed' THEN N'the relay accepted the message'
           WHEN N'partial' THEN N'the relay accepted the message for some recipients'
           WHEN N'delayed' THEN N'the relay accepted the message for no recipient, and some wait for another attempt'
           WHEN N'failed' THEN N'the relay refused the message for all recipients'
           ELSE N'its end was not observed, so the relay may have accepted the message' END +
       COALESCE((SELECT TOP (1) N', with ' + CONVERT(nvarchar(10), p.ReplyCode) + COALESCE(N' ' + p.EnhancedStatusCode COLLATE Latin1_General_BIN2, N'') +
                        N' ' + p.ReplyText COLLATE Latin1_General_BIN2
                 FROM sendport.AttemptReply p
                 WHERE p.AttemptId = t.AttemptId AND p.RecipientOrdinal IS NULL AND p.ReplyCode BETWEEN 200 AND 299
                   AND t.Outcome IN (N'relayed', N'partial')
                 ORDER BY p.Ordinal DESC), N'') +
       COALESCE((SELECT TOP (1) N', the first refusal: ' + p.Command COLLATE Latin1_General_BIN2 + N' ' + CONVERT(nvarchar(10), p.ReplyCode) +
                        COALESCE(N' ' + p.EnhancedStatusCode COLLATE Latin1_General_BIN2, N'') + N' ' + p.ReplyText COLLATE Latin1_General_BIN2
                 FROM sendport.AttemptReply p
                 WHERE p.AttemptId = t.AttemptId AND p.ReplyCode >= 400
                 ORDER BY p.Ordinal), N'') +
       -- What happened instead of a reply.
       COALESCE((SELECT TOP (1) N', no reply to ' + p.Command COLLATE Latin1_General_BIN2 + N': ' + p.ReplyText COLLATE Latin1_General_BIN2
                 FROM sendport.AttemptReply p
                 WHERE p.AttemptId = t.AttemptId AND p.ReplyCode = 0
                 ORDER BY p.Ordinal), N'') +
       COALESCE(N', Message-ID ' + t.MessageId COLLATE Latin1_General_BIN2, N'')
FROM sendport.Attempt t
UNION ALL
SELECT e.AlertId, 1, e.EventId, N'history', e.LoggedAt, e.EventType COLLATE Latin1_General_BIN2 + N': ' + e.Message COLLATE Latin1_General_BIN2
FROM sendport.EventLog e
-- The request says that it was resolved.
WHERE e.AlertId IS NOT NULL AND e.EventType <> N'in-doubt-resolved'
UNION ALL
-- What was reported to the sender of a submitted message.
SELECT d.AlertId, 1, d.Ordinal, N'history', d.ReportedAt,
       COALESCE(N'a report is sent to the reverse-path ' + m.ReversePath COLLATE Latin1_General_BIN2 + N' as alert ' +
                CONVERT(nvarchar(20), d.ReportAlertId) + N': ',
                N'no report to the reverse-path ' + COALESCE(NULLIF(m.ReversePath COLLATE Latin1_General_BIN2, N''), N'<>') +
                N' because ' + d.Reason COLLATE Latin1_General_BIN2 + N': ') +
       CONVERT(nvarchar(10), d.RecipientCount) + CASE d.RecipientCount WHEN 1 THEN N' recipient ' ELSE N' recipients ' END + d.Action
FROM (SELECT AlertId, Action, ReportAlertId, Reason, MIN(Ordinal) AS Ordinal, MIN(ReportedAt) AS ReportedAt,
             COUNT(*) AS RecipientCount
      FROM sendport.DeliveryReport
      -- Few clients ask for other reports.
      WHERE ReportAlertId IS NOT NULL OR Action = N'failed'
      GROUP BY AlertId, Action, ReportAlertId, Reason) d
JOIN sendport.ReceivedMessage m ON m.AlertId = d.AlertId
UNION ALL
-- The requests of operators that changed it: the latest one, at most 19 before, and how many there are before these.
SELECT a.AlertId, 1, q.RequestId, N'history', q.RequestedAt, q.Sentence
FROM sendport.AlertRow a
JOIN RequestSentence q ON q.RequestId = a.RequestId
UNION ALL
SELECT e.AlertId, 1, q.RequestId, N'history', q.RequestedAt,
       CASE (SELECT COUNT(*) FROM sendport.EarlierRequest n WHERE n.AlertId = e.AlertId AND n.RequestId > e.RequestId)
           WHEN 19 THEN (SELECT CONVERT(nvarchar(20), COUNT(*)) +
                                CASE COUNT(*) WHEN 1 THEN N' earlier request' ELSE N' earlier requests' END
                         FROM sendport.EarlierRequest n WHERE n.AlertId = e.AlertId AND n.RequestId <= e.RequestId) +
                        N' of operators changed the alert: see EarlierRequest'
           ELSE q.Sentence END
FROM sendport.EarlierRequest e
JOIN sendport.AlertRow a ON a.AlertId = e.AlertId
JOIN RequestSentence q ON q.RequestId = e.RequestId
WHERE e.RequestId <> a.RequestId
  AND (SELECT COUNT(*) FROM sendport.EarlierRequest n WHERE n.AlertId = e.AlertId AND n.RequestId > e.RequestId) <= 19
UNION ALL
-- Only its attempts say that a redirect changed where it went.
SELECT r.AlertId, 1, q.RequestId, N'history', q.RequestedAt, q.Sentence
FROM (SELECT DISTINCT t.AlertId,
             (SELECT MAX(o.RequestId) FROM sendport.OperatorRequest o WITH (READUNCOMMITTED)
              WHERE o.Verb = N'redirect' AND LOWER(o.RedirectTo) = LOWER(t.RedirectTo) AND o.RequestedAt <= t.EndedAt
                AND (o.AlertId IS NULL OR o.AlertId = a.AlertId) AND (o.SendPort IS NULL OR o.SendPort = a.SendPort)
                AND (o.AlertName IS NULL OR o.AlertName = a.AlertName)) AS RequestId
      FROM sendport.Attempt t
      JOIN sendport.AlertRow a ON a.AlertId = t.AlertId
      WHERE t.RedirectTo IS NOT NULL) r
JOIN RequestSentence q ON q.RequestId = r.RequestId
UNION ALL
-- The status now.
SELECT a.AlertId, 2, 0, N'status', a.StatusAt,
       -- A reason often begins with the status itself: 'cancelled by CONTOSO\anna'.
       N'the alert is ' + CASE WHEN LEFT(a.StatusReason, LEN(a.Status)) = a.Status THEN a.StatusReason COLLATE Latin1_General_BIN2
                               ELSE a.Status COLLATE Latin1_General_BIN2 + COALESCE(N': ' + a.StatusReason COLLATE Latin1_General_BIN2, N'') END +
       CASE WHEN a.RecipientCount = 0 THEN N''
            ELSE N' (' + CONVERT(nvarchar(10), a.RelayedCount) + N' of ' + CONVERT(nvarchar(10), a.RecipientCount) +
                 N' recipients relayed, ' + CONVERT(nvarchar(10), a.WaitingCount) + N' waiting)' END
FROM sendport.AlertStatus a
UNION ALL
-- Why recipients have no message.
SELECT g.AlertId, 3, g.Ordinal, N'cause', r.StatusAt,
       CASE g.RecipientCount WHEN 1 THEN r.Address COLLATE Latin1_General_BIN2 + N' is '
            ELSE CONVERT(nvarchar(10), g.RecipientCount) + N' recipients are ' END + g.Status COLLATE Latin1_General_BIN2 +
       CASE g.RecipientCount WHEN 1 THEN N'' ELSE N', for example ' + r.Address COLLATE Latin1_General_BIN2 END +
       COALESCE(N', redirected to ' + r.RedirectTo COLLATE Latin1_General_BIN2, N'') + N': ' +
       COALESCE(r.Command COLLATE Latin1_General_BIN2 + N' ', N'') + COALESCE(CONVERT(nvarchar(10), NULLIF(r.ReplyCode, 0)) + N' ', N'') +
       COALESCE(r.EnhancedStatusCode COLLATE Latin1_General_BIN2 + N' ', N'') +
       COALESCE(CASE WHEN LEFT(r.ReplyText, LEN(g.Status) + 1) = g.Status + N':'
                     THEN STUFF(r.ReplyText, 1, LEN(g.Status) + 2, N'') ELSE r.ReplyText END COLLATE Latin1_General_BIN2, N'') + COALESCE(N'. ' + e.Cause COLLATE Latin1_General_BIN2, N'')
FROM (SELECT n.AlertId, n.Status, n.ExplanationKey, COUNT(*) AS RecipientCount, MIN(n.Ordinal) AS Ordinal
      FROM sendport.Recipient n
      WHERE n.Status <> N'relayed' AND (n.ReplyCode IS NOT NULL OR n.ReplyText IS NOT NULL)
      GROUP BY n.AlertId, n.Status, n.ExplanationKey) g
JOIN sendport.Recipient r ON r.AlertId = g.AlertId AND r.Ordinal = g.Ordinal
LEFT JOIN sendport.ReplyExplanation e ON e.ExplanationKey = g.ExplanationKey
UNION ALL
-- An operator resolved an attempt as relayed, and the relay's refusal was recorded later.
SELECT t.AlertId, 3, 1000000 + t.AttemptId, N'cause', l.EndedAt,
       N'request ' + CONVERT(nvarchar(20), q.RequestId) + N' of ' + q.RequestedBy COLLATE Latin1_General_BIN2 +
       N' resolved attempt ' + CONVERT(nvarchar(10), t.AttemptNumber) +
       N' as relayed, but the relay refused the message: its reply was recorded later'
FROM sendport.Attempt t
JOIN sendport.OperatorRequest q WITH (READUNCOMMITTED) ON q.RequestId = t.ResolveRequestId AND q.Resolution = N'relayed'
JOIN sendport.Attempt l ON l.AlertId = t.AlertId AND l.AttemptNumber = t.AttemptNumber AND l.AttemptId > t.AttemptId
                       AND l.Outcome IN (N'failed', N'delayed')
UNION ALL
-- What happens next.
SELECT a.AlertId, 4, 0, N'next',
       CASE WHEN a.Status IN (N'queued', N'delayed') AND a.DueAt > SYSUTCDATETIME() THEN a.DueAt END,
       CASE
           WHEN a.Status = N'relayed'
               THEN N'nothing more: the relay has promised to deliver the message or to report that it could not'
           WHEN a.FinalAt IS NOT NULL THEN N'nothing more, unless an operator sends it again'
           WHEN a.Status = N'held' AND a.StatusReasonCode = N'in-doubt' THEN N'nothing, until an operator resolves it'
           WHEN a.Status = N'held' AND a.StatusReasonCode = N'cancelling'
               THEN CASE d.IsRefused WHEN 1 THEN N'the database refused to cancel it (request-refused above); a running instance tries again'
                         ELSE N'a running instance cancels it' END
           WHEN a.Status = N'held' AND a.StatusReasonCode = N'operator-hold'
               THEN N'nothing, until an operator ends the hold ' + CONVERT(nvarchar(20), a.RequestId)
           WHEN a.Status = N'held' THEN N'nothing, until an operator releases it'
           WHEN a.Status = N'sending'
               THEN COALESCE((SELECT CASE WHEN i.StoppedAt IS NULL AND i.LeaseUntil > SYSUTCDATETIME()
                                          THEN N'instance ' + i.Name COLLATE Latin1_General_BIN2 + N' is processing it, and records the outcome' +
                                               COALESCE(N', once this is over: ' + i.WaitingFor COLLATE Latin1_General_BIN2, N'')
                                          ELSE N'the lease of instance ' + i.Name COLLATE Latin1_General_BIN2 +
                                               N' has ended: another running instance takes the alert over' END
                              FROM sendport.Instance i WHERE i.InstanceId = a.LeaseOwner),
                             N'a running instance takes the alert over')
           WHEN q.HasInstance = 0 THEN N'nothing: ' + q.WaitingFor COLLATE Latin1_General_BIN2
           WHEN d.RequestId IS NOT NULL THEN NULL
           WHEN a.DueAt > d.LastAt THEN N'nothing: it expires before it is due'
           WHEN a.DueAt > SYSUTCDATETIME()
               THEN CASE a.Status WHEN N'delayed' THEN N'an instance tries it again' ELSE N'an instance sends it' END
           -- Queue is about all alerts of the send port: the reason of another one is not this one's.
           WHEN q.WaitingFor IS NOT NULL
                AND (a.StatusReason COLLATE Latin1_General_BIN2 = q.WaitingFor COLLATE Latin1_General_BIN2
                     OR NOT EXISTS (SELECT 1 FROM sendport.AlertRow o WITH (READUNCOMMITTED)
                                    WHERE o.SendPort = a.SendPort AND o.Priority IN (N'urgent', N'normal', N'low')
                                      AND o.DueAt = q.NextDueAt AND o.Status = a.Status
                                      AND o.StatusReason COLLATE Latin1_General_BIN2 = q.WaitingFor COLLATE Latin1_General_BIN2))
               THEN N'an instance sends it, once this is over: ' + q.WaitingFor COLLATE Latin1_General_BIN2
           ELSE N'an instance sends it within seconds' END
FROM sendport.AlertRow a
JOIN AlertDetail d ON d.AlertId = a.AlertId
LEFT JOIN sendport.Queue q ON q.SendPort = a.SendPort AND q.Status = a.Status AND a.FinalAt IS NULL
UNION ALL
SELECT d.AlertId, 4, 1, N'next', d.LastAt, N'it expires, unless it is final by then'
FROM AlertDetail d
WHERE d.LastAt IS NOT NULL
UNION ALL
SELECT a.AlertId, 4, 2, N'next', NULL,
       CASE WHEN CHARINDEX(N'@', q.RedirectTo COLLATE Latin1_General_BIN2) > 1
             AND CHARINDEX(N' ', q.RedirectTo COLLATE Latin1_General_BIN2) + CHARINDEX(N';', q.RedirectTo COLLATE Latin1_General_BIN2) + CHARINDEX(N',', q.RedirectTo COLLATE Latin1_General_BIN2) = 0
            THEN N'it goes to ' + q.RedirectTo COLLATE Latin1_General_BIN2 + N' and to no recipient, until an operator ends redirect ' +
                 CONVERT(nvarchar(20), q.RequestId) + N' of ' + q.RequestedBy COLLATE Latin1_General_BIN2
            ELSE N'it waits, and goes to no recipient: the address ''' + q.RedirectTo COLLATE Latin1_General_BIN2 + N''' of redirect ' +
                 CONVERT(nvarchar(20), q.RequestId) + N' of ' + q.RequestedBy COLLATE Latin1_General_BIN2 +
                 N' cannot be used; an operator has to end that redirect' END +
       CASE a.Status WHEN N'sending' THEN N'; a message that is on its way to the relay already goes where it was to go before' ELSE N'' END
FROM sendport.AlertRow a
JOIN sendport.OperatorRequest q WITH (READUNCOMMITTED) ON q.RequestId = (
    SELECT MAX(o.RequestId) FROM sendport.OperatorRequest o WITH (READUNCOMMITTED)
    WHERE o.State = N'open' AND o.Verb = N'redirect'
      AND (o.AlertId IS NULL OR o.AlertId = a.AlertId) AND (o.SendPort IS NULL OR o.SendPort = a.SendPort)
      AND (o.AlertName IS NULL OR o.AlertName = a.AlertName))
WHERE a.FinalAt IS NULL
UNION ALL
-- A cancel or a hold that is not applied to it yet.
SELECT a.AlertId, 4, 3, N'next', NULL,
       N'request ' + CONVERT(nvarchar(20), q.RequestId) + N' of ' + q.RequestedBy COLLATE Latin1_General_BIN2 + N' is in force: ' +
       CASE a.Status WHEN N'sending' THEN N'the alert is ' + CASE q.Verb WHEN N'cancel' THEN N'cancelled' ELSE N'held' END
            ELSE CASE d.IsRefused WHEN 1 THEN N'the database refused to ' + q.Verb COLLATE Latin1_General_BIN2 + N' the alert (request-refused above), and an instance tries again'
                      ELSE N'an instance ' + CASE q.Verb WHEN N'cancel' THEN N'cancels' ELSE N'holds' END + N' the alert' END END +
       COALESCE(N' (' + q.Comment COLLATE Latin1_General_BIN2 + N')', N'') +
       CASE a.Status WHEN N'sending' THEN N', unless its message is on its way to the relay already' ELSE N'' END
FROM sendport.AlertRow a
JOIN AlertDetail d ON d.AlertId = a.AlertId
JOIN sendport.OperatorRequest q WITH (READUNCOMMITTED) ON q.RequestId = d.RequestId
UNION ALL
-- What a person can do.
SELECT g.AlertId, 5, g.Ordinal, N'advice', NULL, e.Advice COLLATE Latin1_General_BIN2
FROM (SELECT n.AlertId, n.ExplanationKey, MIN(n.Ordinal) AS Ordinal
      FROM sendport.Recipient n
      WHERE n.Status <> N'relayed' AND n.ExplanationKey IS NOT NULL
      GROUP BY n.AlertId, n.ExplanationKey) g
JOIN sendport.ReplyExplanation e ON e.ExplanationKey = g.ExplanationKey
UNION ALL
SELECT a.AlertId, 5, 1000000 + pr.Ordinal, N'advice', NULL, N'relay ''' + r.Relay COLLATE Latin1_General_BIN2 + N''': ' + r.Advice COLLATE Latin1_General_BIN2
FROM sendport.AlertRow a
JOIN sendport.SendPortRelay pr ON pr.SendPort = a.SendPort
JOIN sendport.Relay r ON r.Relay = pr.Relay
WHERE a.Status IN (N'queued', N'delayed') AND r.Condition <> N'closed' AND r.Advice IS NOT NULL
UNION ALL
SELECT DISTINCT t.AlertId, 5, 1900000, N'advice', NULL,
       N'recipients that are relayed by request ' + CONVERT(nvarchar(20), q.RequestId) +
       N' alone have no message: EXEC sendport.Requeue @AlertId = ' + CONVERT(nvarchar(20), t.AlertId) + N', @Recipients = N''all'''
FROM sendport.Attempt t
JOIN sendport.OperatorRequest q WITH (READUNCOMMITTED) ON q.RequestId = t.ResolveRequestId AND q.Resolution = N'relayed'
JOIN sendport.Attempt l ON l.AlertId = t.AlertId AND l.AttemptNumber = t.AttemptNumber AND l.AttemptId > t.AttemptId
                       AND l.Outcome IN (N'failed', N'delayed')
UNION ALL
SELECT a.AlertId, 5, 2000000, N'advice', NULL,
       CASE
           WHEN a.Status = N'relayed'
                AND EXISTS (SELECT 1 FROM sendport.Recipient r WHERE r.AlertId = a.AlertId AND r.RedirectTo IS NOT NULL)
               THEN N'recipients with a remark about a redirect do not have it: once the redirect has ended, EXEC sendport.Requeue @AlertId = ' +
                    CONVERT(nvarchar(20), a.AlertId) + N', @Recipients = N''redirected'''
           WHEN a.Status = N'relayed'
               THEN N'if a recipient has no message, the administrator of the relay finds it by its Message-ID'
           WHEN a.BodyPurgedAt IS NOT NULL THEN N'its body was purged: insert it again'
           WHEN a.FinalAt IS NOT NULL AND d.InDoubtAs IS NOT NULL
               THEN N'it may have been sent: search the log of the relay for the ' + d.InDoubtAs COLLATE Latin1_General_BIN2 +
                    N'; if it is not there, send it again: EXEC sendport.Requeue @AlertId = ' + CONVERT(nvarchar(20), a.AlertId)
           WHEN a.FinalAt IS NOT NULL
               THEN N'remove the cause, and send it again: EXEC sendport.Requeue @AlertId = ' + CONVERT(nvarchar(20), a.AlertId) +
                    N'; if the cause is in the alert itself, insert a new one'
           WHEN a.Status = N'held' AND a.StatusReasonCode = N'in-doubt'
               THEN N'search the log of the relay for the ' + d.InDoubtAs COLLATE Latin1_General_BIN2 + N', then sendport resolve ' + CONVERT(nvarchar(20), a.AlertId) +
                    N' with --relayed, --resend or --cancel'
           WHEN a.Status = N'held' AND a.StatusReasonCode = N'operator-hold'
               THEN N'EXEC sendport.Release @HoldRequestId = ' + CONVERT(nvarchar(20), a.RequestId) +
                    N', or EXEC sendport.Cancel @AlertId = ' + CONVERT(nvarchar(20), a.AlertId)
           WHEN a.Status = N'held'
               THEN N'EXEC sendport.Release @AlertId = ' + CONVERT(nvarchar(20), a.AlertId) +
                    N', or EXEC sendport.Cancel @AlertId = ' + CONVERT(nvarchar(20), a.AlertId)
           WHEN NOT EXISTS (SELECT 1 FROM sendport.Instance i
                            WHERE i.StoppedAt IS NULL AND i.LeaseUntil > SYSUTCDATETIME())
               THEN N'start the service, and read its log'
           ELSE N'add the send port to the configuration of an instance, or cancel the alert and insert it again for another send port' END
FROM sendport.AlertRow a
JOIN AlertDetail d ON d.AlertId = a.AlertId
WHERE a.FinalAt IS NOT NULL OR a.Status = N'held' AND COALESCE(a.StatusReasonCode, N'') <> N'cancelling'
   OR a.Status IN (N'queued', N'delayed')
      AND (NOT EXISTS (SELECT 1 FROM sendport.Instance i WHERE i.StoppedAt IS NULL AND i.LeaseUntil > SYSUTCDATETIME())
           OR NOT EXISTS (SELECT 1 FROM sendport.SendPort p WHERE p.Name = a.SendPort
                          AND p.LastSeenAt > DATEADD(minute, -2, SYSUTCDATETIME())));
GO
-- The current version of each template.
CREATE VIEW sendport.CurrentTemplate AS
SELECT t.Name, t.Language, t.Version, c.CreatedAt, c.CreatedBy, t.Subject, t.Text, t.Html, t.Sample
FROM sendport.Template t
JOIN sendport.TemplateChange c ON c.Version = t.Version
WHERE t.Version = (SELECT MAX(n.Version) FROM sendport.Template n WHERE n.Name = t.Name AND n.Language = t.Language)
  AND COALESCE(t.Subject, t.Text, t.Html, t.Sample) IS NOT NULL;
GO
-- Certificates that expire within 60 days, can be encrypted to, are not revoked, and have no replacement: no other
-- certificate for the same address that can be encrypted to by then and expires later.
CREATE VIEW sendport.ExpiringCertificate AS
SELECT c.CertificateId, c.Address, c.Thumbprint, c.Subject, c.Issuer, c.ValidTo,
       DATEDIFF(hour, w.Moment, c.ValidTo) / 24 AS DaysLeft
FROM sendport.Certificate c
CROSS JOIN (SELECT SYSUTCDATETIME() AS Moment) w
WHERE c.RevokedAt IS NULL
  AND c.ValidFrom <= w.Moment
  AND c.ValidTo >= w.Moment
  AND c.ValidTo < DATEADD(day, 60, w.Moment)
  AND c.CanEncrypt = 1
  AND NOT EXISTS (
      SELECT 1 FROM sendport.Certificate n
      WHERE n.Address = c.Address AND n.ValidTo > c.ValidTo AND n.RevokedAt IS NULL
        AND n.ValidFrom <= c.ValidTo
        AND n.CanEncrypt = 1);
GO
-- Users with access to every table of the database, whatever the roles of this schema allow; for `sendport check`.
CREATE VIEW sendport.FixedRoleMember AS
SELECT r.name AS RoleName, m.name AS MemberName
FROM sys.database_role_members x
JOIN sys.database_principals r ON r.principal_id = x.role_principal_id
JOIN sys.database_principals m ON m.principal_id = x.member_principal_id
WHERE r.name IN (N'db_datareader', N'db_datawriter', N'db_owner') AND m.name <> N'dbo';
GO

-- What retention deleted today (UTC), since when its present round runs, what keeps it from going on, and the oldest
-- final alert, and the oldest one with its body, that remain. READUNCOMMITTED: it waits for no transaction.
CREATE VIEW sendport.RetentionProgress AS
SELECT r.RunningSince, r.UpdatedAt, r.PausedReason, r.OldestFinalAt, r.OldestBodyAt,
       CASE WHEN r.[Day] = t.Today THEN r.PurgedAlerts ELSE 0 END AS PurgedAlertsToday,
       CASE WHEN r.[Day] = t.Today THEN r.PurgedBodies ELSE 0 END AS PurgedBodiesToday,
       CASE WHEN r.[Day] = t.Today THEN r.PurgedRows ELSE 0 END AS PurgedRowsToday,
       CASE WHEN r.[Day] = t.Today THEN r.PurgedBytes ELSE 0 END AS PurgedBytesToday,
       (SELECT i.Name FROM sendport.Instance i WITH (READUNCOMMITTED)
        WHERE i.InstanceId = r.InstanceId AND r.LeaseUntil > SYSUTCDATETIME()) AS Instance
FROM sendport.RetentionState r WITH (READUNCOMMITTED)
CROSS JOIN (SELECT CONVERT(date, SYSUTCDATETIME()) AS Today) t;
GO

-- Throughput and latency come from the counts of closed minutes: they read no alert, so they wait for no transaction and
-- cost the same beside any number of alerts. READUNCOMMITTED likewise.
--
-- Alerts that became final in each minute of the last 24 hours, by send port and relay.
CREATE VIEW sendport.ThroughputByMinute AS
SELECT t.[Minute], t.SendPort, t.Relay, SUM(t.AlertCount) AS AlertCount,
       SUM(CASE WHEN t.Status = N'relayed' THEN t.AlertCount ELSE 0 END) AS RelayedCount,
       SUM(CASE WHEN t.Status = N'partial' THEN t.AlertCount ELSE 0 END) AS PartialCount,
       SUM(CASE WHEN t.Status = N'failed' THEN t.AlertCount ELSE 0 END) AS FailedCount,
       SUM(CASE WHEN t.Status = N'expired' THEN t.AlertCount ELSE 0 END) AS ExpiredCount,
       SUM(CASE WHEN t.Status IN (N'cancelled', N'suppressed') THEN t.AlertCount ELSE 0 END) AS CancelledCount,
       SUM(t.RecipientCount) AS RecipientCount, SUM(t.AttemptCount) AS AttemptCount
FROM (SELECT c.[Minute] AS [Minute], c.SendPort, c.Relay, c.Status, c.AlertCount, c.RecipientCount, c.AttemptCount
      FROM sendport.MinuteCount c WITH (READUNCOMMITTED)
      WHERE c.[Minute] >= DATEADD(hour, -24, SYSUTCDATETIME())) t
GROUP BY t.[Minute], t.SendPort, t.Relay;
GO
-- The same by hour.
CREATE VIEW sendport.ThroughputByHour AS
SELECT t.[Hour], t.SendPort, t.Relay, SUM(t.AlertCount) AS AlertCount,
       SUM(CASE WHEN t.Status = N'relayed' THEN t.AlertCount ELSE 0 END) AS RelayedCount,
       SUM(CASE WHEN t.Status = N'partial' THEN t.AlertCount ELSE 0 END) AS PartialCount,
       SUM(CASE WHEN t.Status = N'failed' THEN t.AlertCount ELSE 0 END) AS FailedCount,
       SUM(CASE WHEN t.Status = N'expired' THEN t.AlertCount ELSE 0 END) AS ExpiredCount,
       SUM(CASE WHEN t.Status IN (N'cancelled', N'suppressed') THEN t.AlertCount ELSE 0 END) AS CancelledCount,
       SUM(t.RecipientCount) AS RecipientCount, SUM(t.AttemptCount) AS AttemptCount
FROM (SELECT DATEADD(hour, DATEDIFF(hour, CONVERT(datetime2(3), '2000-01-01'), c.[Minute]), CONVERT(datetime2(3), '2000-01-01')) AS [Hour], c.SendPort, c.Relay, c.Status, c.AlertCount, c.RecipientCount, c.AttemptCount
      FROM sendport.MinuteCount c WITH (READUNCOMMITTED)
      WHERE c.[Minute] >= DATEADD(hour, -24, SYSUTCDATETIME())) t
GROUP BY t.[Hour], t.SendPort, t.Relay;
GO
-- In each minute of the last 24 hours half of the alerts that were relayed took no longer than P50Ms milliseconds, 95 of 100
-- no longer than P95Ms, 99 of 100 no longer than P99Ms.
CREATE VIEW sendport.LatencyByMinute AS
SELECT h.[Minute], h.SendPort, MAX(h.UpToHere) AS AlertCount,
       MIN(CASE WHEN h.UpToHere >= 0.50 * h.Total THEN h.UpToMs END) AS P50Ms,
       MIN(CASE WHEN h.UpToHere >= 0.95 * h.Total THEN h.UpToMs END) AS P95Ms,
       MIN(CASE WHEN h.UpToHere >= 0.99 * h.Total THEN h.UpToMs END) AS P99Ms,
       MAX(h.UpToMs) AS MaxMs
FROM (SELECT b.[Minute], b.SendPort, b.UpToMs,
             SUM(b.AlertCount) OVER (PARTITION BY b.[Minute], b.SendPort ORDER BY b.UpToMs
                                     ROWS UNBOUNDED PRECEDING) AS UpToHere,
             SUM(b.AlertCount) OVER (PARTITION BY b.[Minute], b.SendPort) AS Total
      FROM (SELECT m.[Minute], m.SendPort, m.UpToMs, SUM(m.AlertCount) AS AlertCount
            FROM (SELECT l.[Minute] AS [Minute], l.SendPort, l.UpToMs, l.AlertCount
                  FROM sendport.MinuteLatency l WITH (READUNCOMMITTED)
                  WHERE l.[Minute] >= DATEADD(hour, -24, SYSUTCDATETIME())) m
            GROUP BY m.[Minute], m.SendPort, m.UpToMs) b) h
GROUP BY h.[Minute], h.SendPort;
GO
-- The same by hour.
CREATE VIEW sendport.LatencyByHour AS
SELECT h.[Hour], h.SendPort, MAX(h.UpToHere) AS AlertCount,
       MIN(CASE WHEN h.UpToHere >= 0.50 * h.Total THEN h.UpToMs END) AS P50Ms,
       MIN(CASE WHEN h.UpToHere >= 0.95 * h.Total THEN h.UpToMs END) AS P95Ms,
       MIN(CASE WHEN h.UpToHere >= 0.99 * h.Total THEN h.UpToMs END) AS P99Ms,
       MAX(h.UpToMs) AS MaxMs
FROM (SELECT b.[Hour], b.SendPort, b.UpToMs,
             SUM(b.AlertCount) OVER (PARTITION BY b.[Hour], b.SendPort ORDER BY b.UpToMs
                                     ROWS UNBOUNDED PRECEDING) AS UpToHere,
             SUM(b.AlertCount) OVER (PARTITION BY b.[Hour], b.SendPort) AS Total
      FROM (SELECT m.[Hour], m.SendPort, m.UpToMs, SUM(m.AlertCount) AS AlertCount
            FROM (SELECT DATEADD(hour, DATEDIFF(hour, CONVERT(datetime2(3), '2000-01-01'), l.[Minute]), CONVERT(datetime2(3), '2000-01-01')) AS [Hour], l.SendPort, l.UpToMs, l.AlertCount
                  FROM sendport.MinuteLatency l WITH (READUNCOMMITTED)
                  WHERE l.[Minute] >= DATEADD(hour, -24, SYSUTCDATETIME())) m
            GROUP BY m.[Hour], m.SendPort, m.UpToMs) b) h
GROUP BY h.[Hour], h.SendPort;
GO
-- Why recipients failed or expired in the last 24 hours: by cause, send port and relay, with the number and a sample. An
-- alert that failed as a whole has no cause in ReplyExplanation; its reason is the sample.
CREATE VIEW sendport.FailureByCause AS
SELECT g.ExplanationKey, e.Fault, e.Cause, e.Advice, g.SendPort, g.Relay, g.RecipientCount, g.FirstAt, g.LastAt,
       g.SampleAlertId,
       (SELECT TOP (1) r.ReplyText FROM sendport.Recipient r WITH (READUNCOMMITTED)
        WHERE r.AlertId = g.SampleAlertId AND r.Status IN (N'failed', N'expired')
          AND COALESCE(r.ExplanationKey, N'') = COALESCE(g.ExplanationKey, N'')) AS Sample
FROM (SELECT r.ExplanationKey, a.SendPort, r.Relay, COUNT(*) AS RecipientCount,
             MIN(r.StatusAt) AS FirstAt, MAX(r.StatusAt) AS LastAt, MAX(r.AlertId) AS SampleAlertId
      FROM sendport.Recipient r WITH (READUNCOMMITTED, INDEX (IX_Recipient_Failed), FORCESEEK)
      JOIN sendport.AlertRow a WITH (READUNCOMMITTED) ON a.AlertId = r.AlertId
      WHERE r.Status IN (N'failed', N'expired') AND r.StatusAt >= DATEADD(hour, -24, SYSUTCDATETIME())
      GROUP BY r.ExplanationKey, a.SendPort, r.Relay) g
LEFT JOIN sendport.ReplyExplanation e WITH (READUNCOMMITTED) ON e.ExplanationKey = g.ExplanationKey
UNION ALL
SELECT NULL, NULL, NULL, NULL, w.SendPort, NULL, w.AlertCount, w.FirstAt, w.LastAt, w.SampleAlertId,
       (SELECT a.StatusReason FROM sendport.AlertRow a WITH (READUNCOMMITTED) WHERE a.AlertId = w.SampleAlertId)
FROM (SELECT a.SendPort, COUNT(*) AS AlertCount, MIN(a.FinalAt) AS FirstAt, MAX(a.FinalAt) AS LastAt,
             MAX(a.AlertId) AS SampleAlertId
      FROM sendport.AlertRow a WITH (READUNCOMMITTED, INDEX (IX_AlertRow_Live), FORCESEEK)
      WHERE a.Status IN (N'failed', N'expired') AND a.FinalAt >= DATEADD(hour, -24, SYSUTCDATETIME())
        AND NOT EXISTS (SELECT 1 FROM sendport.Recipient r WITH (READUNCOMMITTED) WHERE r.AlertId = a.AlertId)
      GROUP BY a.SendPort) w;
GO
-- One row per instance: whether it works, since when, what keeps it from sending, and what it holds.
CREATE VIEW sendport.InstanceStatus AS
SELECT i.Name, i.HostName, i.ProcessId, i.[Version],
       CASE WHEN i.StoppedAt IS NOT NULL THEN N'stopped'
            WHEN i.LeaseUntil <= SYSUTCDATETIME() THEN N'lost'
            WHEN i.WaitingFor IS NOT NULL THEN N'waiting' ELSE N'running' END AS State,
       i.StartedAt, i.RenewedAt, i.LeaseUntil, i.StoppedAt, i.WaitingFor,
       (SELECT COUNT(*) FROM sendport.AlertRow a WITH (READUNCOMMITTED, INDEX (IX_AlertRow_LeaseOwner), FORCESEEK)
        WHERE a.LeaseOwner = i.InstanceId) AS LeasedCount,
       i.UnrecordedCount, i.UnrecordedSince, i.UnclaimedCount, i.UnclaimedSince
FROM sendport.Instance i WITH (READUNCOMMITTED);
GO

-- ==== Views and functions for writers: their own alerts ====
GO

-- The filter of a view does not keep a predicate of the caller from being evaluated on rows of other writers,
-- whose values then appear in the text of an error. Neither do row-level security and inline functions. A
-- multi-statement function does: it returns the caller's rows before the caller's query is evaluated.
--
-- Such a function reads a view, because on Babelfish it runs with the permissions of the caller. There a window
-- over AlertId is the barrier: predicates on AlertId are pushed down, all others are evaluated on the caller's rows
-- alone. READCOMMITTED: a writer that reads in a serializable transaction keeps no lock that the service would
-- wait for.
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
END;
GO
-- AlertStatus of the caller's own alerts: one alert, those of one Reference, or all.
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
    StatusReason   nvarchar(2000) NULL,
    AttemptCount   int NOT NULL,
    NextAttemptAt  datetime2(3) NULL,
    RecipientCount int NOT NULL,
    RelayedCount   int NOT NULL,
    WaitingCount   int NOT NULL,
    FailedCount    int NOT NULL,
    FinalAt        datetime2(3) NULL,
    BodyPurgedAt   datetime2(3) NULL,
    CreatedAt      datetime2(3) NOT NULL,
    CreatedBy      nvarchar(128) NOT NULL,
    Origin         nvarchar(16) COLLATE Latin1_General_BIN2 NOT NULL,
    DeliveredCount int NOT NULL,
    BouncedCount   int NOT NULL) AS
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
-- Delivery of the caller's own alerts, likewise.
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
    HeaderProtection    nvarchar(64) NULL,
    ReportedOutcome     nvarchar(16) COLLATE Latin1_General_BIN2 NULL,
    ReportedAt          datetime2(3) NULL,
    ReportedBy          nvarchar(400) NULL,
    ReportedClass       nvarchar(16) COLLATE Latin1_General_BIN2 NULL,
    ReportedReplyCode   int NULL,
    ReportedEnhancedStatusCode nvarchar(16) NULL,
    ReportedText        nvarchar(2000) NULL,
    ReportedCause       nvarchar(max) NULL,
    ReportedAdvice      nvarchar(max) NULL) AS
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

-- ==== Functions for the service ====
GO

-- FixedRoleMember with the permissions of the owner: the service itself sees the members of its own roles alone.
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

-- ==== Procedures for operators ====
GO

-- Inserts a test alert for a send port: the whole way of an alert, as an application goes it.
CREATE PROCEDURE sendport.TestMail
    @To       nvarchar(max),
    @SendPort nvarchar(64) = N'default',
    @AlertId  bigint = NULL OUTPUT AS
SET NOCOUNT ON;
DECLARE @inserted TABLE (AlertId bigint NOT NULL);
IF COALESCE(LEN(@To), 0) = 0
    THROW 50006, N'@To: expected the address of a recipient, found nothing', 1;
IF NOT EXISTS (SELECT 1 FROM sendport.SendPort p WHERE p.Name = @SendPort)
    THROW 50006, N'@SendPort: no instance of the service has had a send port with this name; the view SendPort has the names', 1;
INSERT INTO sendport.Alert (ToRecipients, Subject, Body, SendPort)
OUTPUT inserted.AlertId INTO @inserted (AlertId)
VALUES (@To, N'Test of send port ' + @SendPort,
        N'This is a test of the way from the database to your mailbox. You need not answer.', @SendPort);
SET @AlertId = (SELECT MAX(i.AlertId) FROM @inserted i);
SELECT @AlertId AS AlertId, N'EXEC sendport.Why @AlertId = ' + CONVERT(nvarchar(20), @AlertId) AS Outcome;
GO
-- Why an alert has its status, what happens next, and what a person can do.
CREATE PROCEDURE sendport.Why @AlertId bigint AS
SET NOCOUNT ON;
IF NOT EXISTS (SELECT 1 FROM sendport.AlertRow a WITH (READUNCOMMITTED) WHERE a.AlertId = @AlertId)
    THROW 50005, N'@AlertId: there is no alert with this number', 1;
SELECT x.Kind, x.At, x.Sentence
FROM sendport.AlertExplanation x
WHERE x.AlertId = @AlertId AND x.Sentence IS NOT NULL
ORDER BY x.Part, x.At, x.Number;
GO

-- Checks a request, and adds it; the procedures behind this one call it. It changes no alert: the service applies the
-- request in batches, and an open transaction of the caller keeps nobody waiting. The counts are approximate
-- (READUNCOMMITTED).
CREATE PROCEDURE sendport.AddRequest
    @Verb nvarchar(16),
    @AlertId bigint,
    @SendPort nvarchar(4000),
    @AlertName nvarchar(4000),
    @Reference nvarchar(4000),
    @CreatedBy nvarchar(4000),
    @Relay nvarchar(4000),
    @Cause nvarchar(4000),
    @Status nvarchar(4000),
    @CreatedFrom datetime2(3),
    @CreatedUntil datetime2(3),
    @OlderThanDays int,
    @FinalBefore datetime2(3),
    @HoldRequestId bigint,
    @All bit,
    @Recipients nvarchar(4000),
    @NewMessageId bit,
    @BodiesOnly bit,
    @Comment nvarchar(4000),
    @DryRun bit,
    @RequestId bigint OUTPUT,
    @RedirectTo nvarchar(4000) = NULL
AS
BEGIN
    SET NOCOUNT ON;
    DECLARE @now datetime2(3) = SYSUTCDATETIME(), @error nvarchar(1000), @matches bigint, @next nvarchar(2000),
            @hint nvarchar(1500) = N'', @empty nvarchar(16), @long nvarchar(40), @until datetime2(3) = @CreatedUntil,
            @other bigint, @otherTo nvarchar(320),
            @alert nvarchar(40) = N'@AlertId: alert ' + CONVERT(nvarchar(20), @AlertId), @alertStatus nvarchar(16),
            @finalAt datetime2(3), @bodyPurgedAt datetime2(3);
    DECLARE @held bigint, @heldBy nvarchar(128), @hour datetime2(3) = DATEADD(hour, -1, @now), @before datetime2(3);
    -- Each label of the domain between two dots.
    DECLARE @domain nvarchar(4000) = N'.' + STUFF(@RedirectTo, 1, CHARINDEX(N'@', @RedirectTo), N'') + N'.';
    DECLARE @request TABLE (RequestId bigint NOT NULL, Verb nvarchar(16) COLLATE Latin1_General_BIN2 NOT NULL,
        AlertId bigint NULL, SendPort nvarchar(64) COLLATE Latin1_General_BIN2 NULL, AlertName nvarchar(128) NULL,
        Reference nvarchar(200) COLLATE Latin1_General_BIN2 NULL, CreatedBy nvarchar(128) NULL, Relay nvarchar(128) NULL,
        ExplanationKey nvarchar(64) COLLATE Latin1_General_BIN2 NULL,
        Status nvarchar(16) COLLATE Latin1_General_BIN2 NULL, CreatedFrom datetime2(3) NULL,
        CreatedUntil datetime2(3) NULL, FinalBefore datetime2(3) NULL, HoldRequestId bigint NULL, MatchesAll bit NOT NULL,
        Recipients nvarchar(16) COLLATE Latin1_General_BIN2 NULL, BodiesOnly bit NOT NULL, RequestedAt datetime2(3) NOT NULL);
    DECLARE @statuses TABLE (Status nvarchar(16) COLLATE Latin1_General_BIN2 NOT NULL);
    DECLARE @matching TABLE (SendPort nvarchar(64) COLLATE Latin1_General_BIN2 NOT NULL,
        Status nvarchar(16) COLLATE Latin1_General_BIN2 NOT NULL, Alerts bigint NOT NULL);
    SET @RequestId = NULL;
    IF @Verb IN (N'cancel', N'requeue')
        SET @CreatedUntil = COALESCE(@CreatedUntil, @now);
    IF @OlderThanDays BETWEEN 1 AND 36500
        SET @before = DATEADD(day, -@OlderThanDays, @now);
    ELSE IF @Verb = N'purge'
        SET @before = COALESCE(@FinalBefore, @hour);

    SELECT @alertStatus = a.Status, @finalAt = a.FinalAt, @bodyPurgedAt = a.BodyPurgedAt
    FROM sendport.AlertRow a WITH (READUNCOMMITTED) WHERE a.AlertId = @AlertId;
    -- An empty text equals one of blanks.
    SET @empty = CASE WHEN @SendPort = N'' THEN N'@SendPort' WHEN @AlertName = N'' THEN N'@AlertName'
                      WHEN @Reference = N'' THEN N'@Reference' WHEN @CreatedBy = N'' THEN N'@CreatedBy'
                      WHEN @Relay = N'' THEN N'@Relay' WHEN @Cause = N'' THEN N'@Cause' END;
    SET @long = CASE WHEN LEN(@SendPort) > 64 THEN N'@SendPort is longer than 64'
                     WHEN LEN(@AlertName) > 128 THEN N'@AlertName is longer than 128'
                     WHEN LEN(@Reference) > 200 THEN N'@Reference is longer than 200'
                     WHEN LEN(@CreatedBy) > 128 THEN N'@CreatedBy is longer than 128'
                     WHEN LEN(@Relay) > 128 THEN N'@Relay is longer than 128'
                     WHEN LEN(@Cause) > 64 THEN N'@Cause is longer than 64'
                     WHEN LEN(@Comment) > 400 THEN N'@Comment is longer than 400' END;
    IF @empty IS NOT NULL
        SET @error = @empty + N' is empty: give a value, or leave it out';
    ELSE IF @long IS NOT NULL
        SET @error = @long + N' characters';
    ELSE IF @DryRun IS NULL
        SET @error = N'@DryRun is NULL: expected 0 or 1';
    ELSE IF @BodiesOnly IS NULL
        SET @error = N'@BodiesOnly is NULL: expected 0 or 1';
    ELSE IF @NewMessageId IS NULL
        SET @error = N'@NewMessageId is NULL: expected 0 or 1';
    ELSE IF @AlertId IS NOT NULL AND @alertStatus IS NULL
        SET @error = N'@AlertId: there is no alert ' + CONVERT(nvarchar(20), @AlertId);
    ELSE IF LOWER(@Status) NOT IN (N'queued', N'sending', N'delayed', N'held', N'relayed', N'partial', N'failed',
                                   N'expired', N'cancelled', N'suppressed')
        SET @error = N'@Status: ''' + LEFT(@Status, 64) + N''' is not the status of an alert';
    ELSE IF @Verb = N'cancel' AND LOWER(@Status) NOT IN (N'queued', N'sending', N'delayed', N'held')
        SET @error = N'@Status: an alert that is ' + LOWER(@Status) + N' is final and cannot be cancelled';
    ELSE IF @Verb = N'requeue' AND LOWER(@Status) IN (N'queued', N'sending', N'delayed', N'held', N'suppressed')
        SET @error = N'@Status: an alert that is ' + LOWER(@Status) + N' has nothing to send again';
    ELSE IF @CreatedFrom > @CreatedUntil
        SET @error = N'@CreatedFrom is later than @CreatedUntil';
    ELSE IF @Verb = N'requeue' AND COALESCE(LOWER(@Recipients), N'') NOT IN (N'failed', N'all', N'redirected')
        SET @error = N'@Recipients is ''failed'', ''all'' or ''redirected''';
    ELSE IF @Verb = N'redirect' AND (COALESCE(CHARINDEX(N'@', @RedirectTo), 0) < 2 OR LEN(@RedirectTo) > 320
        OR CHARINDEX(N'@', @RedirectTo, CHARINDEX(N'@', @RedirectTo) + 1) > 0
        OR CHARINDEX(N'..', @domain) + CHARINDEX(N'.-', @domain) + CHARINDEX(N'-.', @domain) > 0
        OR CHARINDEX(N';', @RedirectTo) + CHARINDEX(N',', @RedirectTo) + CHARINDEX(N' ', @RedirectTo)
           + CHARINDEX(N'<', @RedirectTo) + CHARINDEX(N'>', @RedirectTo) + CHARINDEX(N'(', @RedirectTo)
           + CHARINDEX(N')', @RedirectTo) + CHARINDEX(N'"', @RedirectTo) + CHARINDEX(N'\', @RedirectTo)
           + CHARINDEX(NCHAR(9), @RedirectTo) + CHARINDEX(NCHAR(10), @RedirectTo)
           + CHARINDEX(NCHAR(13), @RedirectTo) > 0)
        SET @error = N'@To: expected one address such as qa@contoso.com, found '
            + COALESCE(N'''' + LEFT(@RedirectTo, 320) + N'''', N'nothing');
    ELSE IF @All = 1 AND LOWER(@Recipients) = N'all' AND @AlertId IS NULL AND @SendPort IS NULL AND @AlertName IS NULL
        AND @Reference IS NULL AND @CreatedBy IS NULL AND @Relay IS NULL AND @Cause IS NULL AND @Status IS NULL
        AND @CreatedFrom IS NULL AND @until IS NULL
        SET @error = N'@All = 1 with @Recipients = ''all'' would send every alert again to everybody: give a filter too, such as '
            + N'@CreatedFrom';
    ELSE IF @Verb = N'cancel' AND @finalAt IS NOT NULL
        SET @error = @alert + N' is ' + @alertStatus + N', and waits for nothing';
    ELSE IF @Verb = N'hold' AND @finalAt IS NOT NULL
        SET @error = @alert + N' is ' + @alertStatus + N', and only an alert that waits or is being sent can be held';
    ELSE IF @Verb = N'requeue' AND @alertStatus NOT IN (N'failed', N'partial', N'expired', N'cancelled')
        AND (@alertStatus <> N'relayed' OR LOWER(@Recipients) = N'failed')
        SET @error = @alert + N' is ' + @alertStatus + N': only what failed, expired, was cancelled or is partial is sent '
            + N'again; @Recipients = ''all'' also sends what was relayed';
    ELSE IF @Verb = N'requeue' AND @bodyPurgedAt IS NOT NULL
        SET @error = @alert + N' cannot be sent again: its body is deleted';
    ELSE IF @Verb IN (N'hold', N'release', N'redirect')
        AND CASE WHEN @AlertId IS NULL THEN 0 ELSE 1 END + CASE WHEN @SendPort IS NULL THEN 0 ELSE 1 END
            + CASE WHEN @AlertName IS NULL THEN 0 ELSE 1 END + CASE WHEN @HoldRequestId IS NULL THEN 0 ELSE 1 END
            + COALESCE(@All, 0) <> 1
        SET @error = N'give one of @AlertId, @SendPort, @AlertName'
            + CASE @Verb WHEN N'release' THEN N', @HoldRequestId, @RedirectRequestId, @All = 1'
                         WHEN N'redirect' THEN N', @All = 1' ELSE N'' END;
    ELSE IF @Verb IN (N'cancel', N'requeue') AND COALESCE(@All, 0) = 0 AND @AlertId IS NULL AND @SendPort IS NULL
        AND @AlertName IS NULL AND @Reference IS NULL AND @CreatedBy IS NULL AND @Relay IS NULL AND @Cause IS NULL
        AND @Status IS NULL AND @CreatedFrom IS NULL AND @until IS NULL
        SET @error = N'say which alerts: give at least one of @AlertId, @SendPort, @AlertName, @Reference, @CreatedBy, '
            + N'@Relay, @Cause, @Status, @CreatedFrom, @CreatedUntil, or @All = 1';
    ELSE IF @Verb = N'purge' AND LOWER(@Status) IN (N'queued', N'sending', N'delayed', N'held')
        SET @error = N'@Status: an alert that is ' + LOWER(@Status) + N' is not final, and only final alerts are purged; '
            + N'sendport.Cancel ends it';
    ELSE IF @OlderThanDays IS NOT NULL AND @FinalBefore IS NOT NULL
        SET @error = N'give one of @OlderThanDays, @FinalBefore';
    ELSE IF @OlderThanDays NOT BETWEEN 1 AND 36500
        SET @error = N'@OlderThanDays: expected 1 to 36500, found ' + CONVERT(nvarchar(20), @OlderThanDays);
    ELSE IF @FinalBefore > @hour
        SET @error = N'@FinalBefore: expected a time (UTC) at least an hour ago, found '
            + CONVERT(nvarchar(30), @FinalBefore, 126) + N': before that the counts of its minutes are not complete';
    ELSE IF @Verb = N'purge' AND @OlderThanDays IS NULL AND @FinalBefore IS NULL AND @AlertId IS NULL
        SET @error = N'say how old: give one of @OlderThanDays, @FinalBefore (UTC), or one alert by @AlertId';
    ELSE IF @Verb = N'purge' AND @AlertId IS NOT NULL AND @finalAt IS NULL
        SET @error = @alert + N' is ' + @alertStatus + N', and only final alerts are purged; sendport.Cancel ends it';
    ELSE IF @Verb = N'purge' AND @finalAt > @before
        SET @error = @alert + N' became final at ' + CONVERT(nvarchar(19), @finalAt, 126) + N'Z: only what became final until '
            + CONVERT(nvarchar(19), @before, 126) + N'Z is purged';
    IF @error IS NOT NULL
        THROW 50006, @error, 1;

    -- What is held already, by a request that is committed.
    SELECT TOP (1) @held = o.RequestId, @heldBy = o.RequestedBy
    FROM sendport.OperatorRequest o WITH (READPAST, READCOMMITTEDLOCK, INDEX (IX_OperatorRequest_Open), FORCESEEK)
    WHERE o.State = N'open'
      AND (@Verb <> N'redirect' AND o.Verb = N'hold'
               AND (o.AlertId = @AlertId OR o.SendPort = @SendPort OR o.AlertName = @AlertName)
           OR @Verb = N'redirect' AND o.Verb = N'redirect' AND o.RedirectTo = @RedirectTo
               AND (o.AlertId = @AlertId OR o.SendPort = @SendPort OR o.AlertName = @AlertName
                    OR @All = 1 AND o.AlertId IS NULL AND o.SendPort IS NULL AND o.AlertName IS NULL)
               -- And no newer one is in force instead.
               AND NOT EXISTS (SELECT 1
                               FROM sendport.OperatorRequest n WITH (READPAST, READCOMMITTEDLOCK, INDEX (IX_OperatorRequest_Open), FORCESEEK)
                               WHERE n.State = N'open' AND n.Verb = N'redirect' AND n.RequestId > o.RequestId
                                 AND (n.AlertId = o.AlertId OR n.AlertId IS NULL OR o.AlertId IS NULL)
                                 AND (n.SendPort = o.SendPort OR n.SendPort IS NULL OR o.SendPort IS NULL)
                                 AND (n.AlertName = o.AlertName OR n.AlertName IS NULL OR o.AlertName IS NULL))
           OR o.Verb IN (N'hold', N'redirect') AND o.RequestId = @HoldRequestId)
      -- A release that is committed and not applied yet ends it.
      AND NOT EXISTS (SELECT 1
                      FROM sendport.OperatorRequest r WITH (READPAST, READCOMMITTEDLOCK, INDEX (IX_OperatorRequest_Open), FORCESEEK)
                      WHERE r.State = N'open' AND r.Verb = N'release' AND r.RequestId > o.RequestId
                        AND (r.HoldRequestId = o.RequestId
                             OR o.Verb = N'hold' AND (r.MatchesAll = 1 OR r.AlertId = o.AlertId OR r.SendPort = o.SendPort
                                                      OR r.AlertName = o.AlertName)))
    ORDER BY o.RequestId;
    IF @Verb = N'hold' AND @held IS NOT NULL
        SET @error = CASE WHEN @AlertId IS NOT NULL THEN N'@AlertId' WHEN @SendPort IS NOT NULL THEN N'@SendPort'
                          ELSE N'@AlertName' END
            + N' is held already, by request ' + CONVERT(nvarchar(20), @held) + N' of ' + @heldBy;
    ELSE IF @Verb = N'redirect' AND @held IS NOT NULL
        SET @error = N'@To: they go to ' + @RedirectTo + N' already, by request ' + CONVERT(nvarchar(20), @held) + N' of ' + @heldBy;
    ELSE IF @Verb = N'release' AND @held IS NULL AND @HoldRequestId IS NOT NULL
        SET @error = N'request ' + CONVERT(nvarchar(20), @HoldRequestId) + N' is being ended by another release';
    ELSE IF @Verb = N'release' AND @held IS NULL AND @SendPort IS NOT NULL
        SET @error = N'@SendPort: ' + @SendPort + N' is not held';
    ELSE IF @Verb = N'release' AND @held IS NULL AND @AlertName IS NOT NULL
        SET @error = N'@AlertName: ' + @AlertName + N' is not held';
    ELSE IF @Verb = N'release' AND @held IS NULL AND @alertStatus <> N'held'
        SET @error = @alert + N' is not held';
    IF @error IS NOT NULL
        THROW 50006, @error, 1;

    INSERT @request (RequestId, Verb, AlertId, SendPort, AlertName, Reference, CreatedBy, Relay, ExplanationKey, Status,
        CreatedFrom, CreatedUntil, FinalBefore, HoldRequestId, MatchesAll, Recipients, BodiesOnly, RequestedAt)
    VALUES (9223372036854775807, @Verb, @AlertId, @SendPort, @AlertName, @Reference, @CreatedBy, @Relay, @Cause,
            LOWER(@Status), @CreatedFrom, @CreatedUntil, @before, @HoldRequestId, COALESCE(@All, 0), LOWER(@Recipients),
            COALESCE(@BodiesOnly, 0), @now);
    IF @Verb = N'purge'
        INSERT @statuses VALUES (N'relayed'), (N'partial'), (N'failed'), (N'expired'), (N'cancelled'), (N'suppressed');
    ELSE IF @Verb = N'requeue'
        INSERT @statuses VALUES (N'failed'), (N'partial'), (N'expired'), (N'cancelled');
    ELSE
        INSERT @statuses VALUES (N'queued'), (N'delayed'), (N'held'), (N'sending');
    IF LOWER(@Recipients) <> N'failed'
        INSERT @statuses VALUES (N'relayed');
    INSERT @matching (SendPort, Status, Alerts)
    SELECT a.SendPort, a.Status, COUNT_BIG(*)
    FROM (SELECT x.* FROM sendport.AlertRow x WITH (READUNCOMMITTED) WHERE x.AlertId = @AlertId
          UNION ALL
          SELECT x.*
          FROM @statuses s
          JOIN sendport.AlertRow x WITH (READUNCOMMITTED, INDEX (IX_AlertRow_Live), FORCESEEK) ON x.Status = s.Status
          WHERE @AlertId IS NULL) a
    CROSS JOIN @request q
    WHERE
      -- The request q changes the alert a, as it is now.
      (q.Verb = N'cancel' AND a.Status IN (N'queued', N'delayed', N'held')
           AND a.StatusReasonCode = N'cancelling' AND a.RequestId = q.RequestId
       -- What was held before the release.
       OR q.Verb = N'release' AND a.Status = N'held' AND COALESCE(a.StatusReasonCode, N'') <> N'cancelling'
           AND COALESCE(a.RequestId, 0) < q.RequestId
           AND (a.AlertId = q.AlertId OR q.MatchesAll = 1
                OR a.StatusReasonCode = N'operator-hold'
                   AND EXISTS (SELECT 1 FROM sendport.OperatorRequest h WITH (READUNCOMMITTED)
                               WHERE h.RequestId = a.RequestId
                                 AND (h.RequestId = q.HoldRequestId OR h.SendPort = q.SendPort OR h.AlertName = q.AlertName)))
       OR (q.Verb = N'cancel' AND a.Status IN (N'queued', N'delayed', N'held')
           OR q.Verb IN (N'hold', N'redirect') AND a.Status IN (N'queued', N'delayed')
           -- What failed before the request, so that nothing is sent again and again.
           OR q.Verb = N'requeue' AND a.FinalAt <= q.RequestedAt
              AND (a.Status IN (N'failed', N'partial', N'expired', N'cancelled')
                   OR a.Status = N'relayed' AND q.Recipients <> N'failed')
              AND (q.Recipients <> N'redirected'
                   OR EXISTS (SELECT 1 FROM sendport.Recipient r WITH (READUNCOMMITTED, INDEX (PK_Recipient), FORCESEEK)
                              WHERE r.AlertId = a.AlertId AND r.RedirectTo IS NOT NULL))
           OR q.Verb = N'purge' AND a.FinalAt <= q.FinalBefore AND (q.BodiesOnly = 0 OR a.BodyPurged = 0))
          AND -- The request q is about the alert a. Relay and cause are of one recipient that it would change. A cancel spares what
      -- was put back into the queue after it.
      (q.AlertId IS NULL OR a.AlertId = q.AlertId)
      AND (q.SendPort IS NULL OR a.SendPort = q.SendPort)
      AND (q.AlertName IS NULL OR a.AlertName = q.AlertName)
      AND (q.Reference IS NULL OR a.Reference = q.Reference)
      AND (q.CreatedBy IS NULL OR a.CreatedBy = q.CreatedBy)
      AND (q.Status IS NULL OR a.Status = q.Status)
      AND (q.CreatedFrom IS NULL OR a.CreatedAt >= q.CreatedFrom)
      AND (q.CreatedUntil IS NULL OR a.CreatedAt <= q.CreatedUntil)
      AND (q.Verb <> N'cancel' OR a.RequeuedAt IS NULL OR a.RequeuedAt <= q.RequestedAt)
      AND (q.Relay IS NULL AND q.ExplanationKey IS NULL
           OR EXISTS (SELECT 1 FROM sendport.Recipient r WITH (READUNCOMMITTED, INDEX (PK_Recipient), FORCESEEK)
                      WHERE r.AlertId = a.AlertId AND (q.Recipients = N'all' OR q.Recipients = N'redirected' AND r.RedirectTo IS NOT NULL
                             OR COALESCE(q.Recipients, N'failed') = N'failed' AND r.Status <> N'relayed')
                        AND (q.Relay IS NULL OR r.Relay = q.Relay)
                        AND (q.ExplanationKey IS NULL OR r.ExplanationKey = q.ExplanationKey))))
      -- It is in force for what is being sent, too.
      OR q.Verb IN (N'cancel', N'hold', N'redirect') AND a.Status = N'sending' AND q.Relay IS NULL AND q.ExplanationKey IS NULL
         AND (q.AlertId IS NULL OR a.AlertId = q.AlertId) AND (q.SendPort IS NULL OR a.SendPort = q.SendPort)
         AND (q.AlertName IS NULL OR a.AlertName = q.AlertName) AND (q.Reference IS NULL OR a.Reference = q.Reference)
         AND (q.CreatedBy IS NULL OR a.CreatedBy = q.CreatedBy) AND (q.Status IS NULL OR a.Status = q.Status)
         AND (q.CreatedFrom IS NULL OR a.CreatedAt >= q.CreatedFrom) AND (q.CreatedUntil IS NULL OR a.CreatedAt <= q.CreatedUntil)
         AND (q.Verb <> N'cancel' OR a.RequeuedAt IS NULL OR a.RequeuedAt <= q.RequestedAt)
    GROUP BY a.SendPort, a.Status;
    SET @matches = COALESCE((SELECT SUM(m.Alerts) FROM @matching m), 0);
    IF @AlertId IS NOT NULL AND @matches = 0
        AND (@Verb IN (N'cancel', N'requeue', N'purge') OR @Verb = N'release' AND @alertStatus = N'held')
    BEGIN
        SET @error = @alert + CASE
            WHEN LOWER(@Status) <> @alertStatus THEN N' is ' + @alertStatus + N', and not ' + LOWER(@Status)
            WHEN LOWER(@Recipients) = N'redirected'
                 AND NOT EXISTS (SELECT 1 FROM sendport.Recipient r WITH (READUNCOMMITTED, INDEX (PK_Recipient), FORCESEEK)
                                 WHERE r.AlertId = @AlertId AND r.RedirectTo IS NOT NULL)
                THEN N' has no recipient whose message a redirect sent elsewhere'
            WHEN @BodiesOnly = 1 AND @bodyPurgedAt IS NOT NULL THEN N' has no body any more'
            WHEN @Verb = N'release' THEN N' is being cancelled, and a release ends no cancel: sendport.Why says what keeps it from that'
            ELSE N' does not match the other parameters' END;
        THROW 50006, @error, 1;
    END;
    IF NOT EXISTS (SELECT 1 FROM sendport.ReplyExplanation e WHERE e.ExplanationKey = @Cause)
        SET @hint = @hint + COALESCE(N'. No cause ''' + @Cause + N''' is known: the table ReplyExplanation has the keys', N'');
    IF NOT EXISTS (SELECT 1 FROM sendport.SendPortRelay r WITH (READUNCOMMITTED) WHERE r.Relay = @Relay)
        SET @hint = @hint + COALESCE(N'. No relay ''' + @Relay + N''' is known: the table SendPortRelay has the names', N'');
    IF NOT EXISTS (SELECT 1 FROM sendport.SendPort p WITH (READUNCOMMITTED) WHERE p.Name = @SendPort)
        SET @hint = @hint + COALESCE(N'. No send port ''' + @SendPort + N''' is known: the table SendPort has the names', N'');
    IF @matches = 0
        SET @hint = @hint + COALESCE(N'. No alert with AlertName ''' + @AlertName + N''' matches now', N'');
    IF @DryRun = 1
    BEGIN
        IF @AlertId IS NULL AND @Verb IN (N'hold', N'redirect')
            SET @hint = @hint + N'. Until a release, alerts that are inserted later match too';
        IF @hint <> N''
            PRINT STUFF(@hint, 1, 2, N'');
        SELECT SendPort, Status, Alerts FROM @matching ORDER BY SendPort, Status;
        RETURN;
    END;

    INSERT INTO sendport.OperatorRequest (Verb, AlertId, SendPort, AlertName, Reference, CreatedBy, Relay, ExplanationKey,
        Status, CreatedFrom, CreatedUntil, FinalBefore, HoldRequestId, MatchesAll, Recipients, NewMessageId, BodiesOnly, Comment,
        RequestedAt, RedirectTo)
    SELECT q.Verb, q.AlertId, q.SendPort, q.AlertName, q.Reference, q.CreatedBy, q.Relay, q.ExplanationKey, q.Status,
           q.CreatedFrom, q.CreatedUntil, q.FinalBefore, q.HoldRequestId, q.MatchesAll, q.Recipients,
           COALESCE(@NewMessageId, 0), q.BodiesOnly, @Comment, q.RequestedAt, @RedirectTo
    FROM @request q;
    SET @RequestId = CAST(SCOPE_IDENTITY() AS bigint);
    -- The redirect that is in force behind the one that ends.
    SELECT TOP (1) @other = o.RequestId, @otherTo = o.RedirectTo
    FROM sendport.OperatorRequest e WITH (READUNCOMMITTED)
    JOIN sendport.OperatorRequest o WITH (READPAST, READCOMMITTEDLOCK, INDEX (IX_OperatorRequest_Open), FORCESEEK)
      ON o.State = N'open' AND o.Verb = N'redirect' AND o.RequestId <> e.RequestId
    LEFT JOIN sendport.AlertRow a WITH (READUNCOMMITTED) ON a.AlertId = e.AlertId
    -- Of one alert send port and name are known; of others one redirect says the one, and another the other.
    WHERE (o.AlertId = e.AlertId OR o.AlertId IS NULL OR e.AlertId IS NULL)
      AND (o.SendPort = COALESCE(a.SendPort, e.SendPort) OR o.SendPort IS NULL OR e.MatchesAll = 1)
      AND (o.AlertName = COALESCE(a.AlertName, e.AlertName) OR o.AlertName IS NULL OR e.MatchesAll = 1)
      AND e.RequestId = @HoldRequestId AND e.Verb = N'redirect'
    ORDER BY o.RequestId DESC;
    SET @next = CASE WHEN @matches = 0 AND @Verb IN (N'cancel', N'requeue', N'purge') THEN N'no alert matches now; ' ELSE N'' END
        + CASE @Verb
        WHEN N'cancel' THEN N'from now on none of them is sent; the service ends them in batches, and an alert that is being '
                            + N'sent ends with that attempt'
        WHEN N'hold' THEN N'from now on none of them is sent, nor one that is inserted later, until sendport.Release'
        WHEN N'release' THEN CASE WHEN @HoldRequestId IS NULL THEN N'the service ends the hold within seconds'
                             ELSE N'the service ends request ' + CONVERT(nvarchar(20), @HoldRequestId) + N' within seconds'
                                  + COALESCE(N'; then request ' + CONVERT(nvarchar(20), @other) + N' redirects to ' + @otherTo, N'') END
        WHEN N'redirect' THEN N'from now on they go to that address alone, and so do those that are inserted later, until '
                              + N'EXEC sendport.Release @RedirectRequestId = ' + CONVERT(nvarchar(20), @RequestId)
        WHEN N'purge' THEN N'the service deletes them in batches, at the pace of [retention]; AppliedCount says how many so far'
        ELSE N'the service puts them back into the queue in batches; '
             + CASE WHEN @NewMessageId = 1 THEN N'each message gets a new Message-ID, except one that a program submitted whole '
                         + N'(ReceivedMessage): it keeps its own'
                    WHEN LOWER(@Recipients) = N'redirected'
                        THEN N'their Message-ID is another one than that of the redirected message'
                    ELSE N'the Message-ID is kept, and some servers drop a message whose Message-ID they know: '
                         + N'@NewMessageId = 1 gives it a new one' END
        END + @hint + CASE WHEN @@TRANCOUNT > 0 THEN N'. All this once your transaction is committed' ELSE N'' END;
    SELECT @RequestId AS RequestId, @Verb AS Verb, @matches AS MatchingCount, @next AS Result;
END;
GO
-- Alerts that match are not sent any more.
CREATE PROCEDURE sendport.Cancel
    @AlertId bigint = NULL,
    @SendPort nvarchar(4000) = NULL,
    @AlertName nvarchar(4000) = NULL,
    @Reference nvarchar(4000) = NULL,
    @CreatedBy nvarchar(4000) = NULL,
    @Relay nvarchar(4000) = NULL,
    @Cause nvarchar(4000) = NULL,
    @Status nvarchar(4000) = NULL,
    @CreatedFrom datetime2(3) = NULL,
    @CreatedUntil datetime2(3) = NULL,
    @All bit = 0,
    @Comment nvarchar(4000) = NULL,
    @DryRun bit = 0,
    @RequestId bigint = NULL OUTPUT
AS
    SET NOCOUNT ON;
    EXEC sendport.AddRequest N'cancel', @AlertId, @SendPort, @AlertName, @Reference, @CreatedBy, @Relay, @Cause, @Status,
        @CreatedFrom, @CreatedUntil, NULL, NULL, NULL, @All, NULL, 0, 0, @Comment, @DryRun, @RequestId OUTPUT;
GO
-- An alert, a send port or an AlertName waits until a release.
CREATE PROCEDURE sendport.Hold
    @AlertId bigint = NULL,
    @SendPort nvarchar(4000) = NULL,
    @AlertName nvarchar(4000) = NULL,
    @Comment nvarchar(4000) = NULL,
    @DryRun bit = 0,
    @RequestId bigint = NULL OUTPUT
AS
    SET NOCOUNT ON;
    EXEC sendport.AddRequest N'hold', @AlertId, @SendPort, @AlertName, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
        NULL, NULL, 0, NULL, 0, 0, @Comment, @DryRun, @RequestId OUTPUT;
GO
-- An alert, a send port, an AlertName or all go to one address instead of their recipients, until a release.
CREATE PROCEDURE sendport.Redirect
    @To nvarchar(4000),
    @AlertId bigint = NULL,
    @SendPort nvarchar(4000) = NULL,
    @AlertName nvarchar(4000) = NULL,
    @All bit = 0,
    @Comment nvarchar(4000) = NULL,
    @DryRun bit = 0,
    @RequestId bigint = NULL OUTPUT
AS
    SET NOCOUNT ON;
    EXEC sendport.AddRequest N'redirect', @AlertId, @SendPort, @AlertName, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
        NULL, NULL, @All, NULL, 0, 0, @Comment, @DryRun, @RequestId OUTPUT, @To;
GO
-- A hold ends: the one with this target, the one with this number, or all. With an alert or all: also alerts that an
-- adoption holds or that are in doubt. A redirect ends by its number alone.
CREATE PROCEDURE sendport.Release
    @AlertId bigint = NULL,
    @SendPort nvarchar(4000) = NULL,
    @AlertName nvarchar(4000) = NULL,
    @HoldRequestId bigint = NULL,
    @All bit = 0,
    @Comment nvarchar(4000) = NULL,
    @DryRun bit = 0,
    @RequestId bigint = NULL OUTPUT,
    @RedirectRequestId bigint = NULL
AS
    SET NOCOUNT ON;
    IF @HoldRequestId IS NOT NULL AND @RedirectRequestId IS NOT NULL
        THROW 50006, N'give one of @HoldRequestId, @RedirectRequestId', 1;
    -- Who ends a redirect says so: messages go to their recipients again.
    DECLARE @verb nvarchar(16), @state nvarchar(8), @result nvarchar(400), @error nvarchar(1000),
            @wanted nvarchar(16) = CASE WHEN @RedirectRequestId IS NULL THEN N'hold' ELSE N'redirect' END;
    SET @HoldRequestId = COALESCE(@RedirectRequestId, @HoldRequestId);
    SELECT @verb = o.Verb, @state = o.State, @result = o.Result
    FROM sendport.OperatorRequest o WITH (READUNCOMMITTED)
    WHERE o.RequestId = @HoldRequestId;
    IF @verb = @wanted AND @state = N'open' OR @HoldRequestId IS NULL
        SET @error = NULL;
    ELSE IF @verb IS NULL
        SET @error = N'there is no request ' + CONVERT(nvarchar(20), @HoldRequestId);
    ELSE
        SET @error = N'request ' + CONVERT(nvarchar(20), @HoldRequestId) + N' is a ' + @verb
            + CASE WHEN @verb <> @wanted THEN N' and not a ' + @wanted ELSE N'' END
            + CASE WHEN @state = N'open' THEN N'' ELSE N', and it has ended' + COALESCE(N': ' + @result, N'') END;
    IF @error IS NOT NULL
    BEGIN
        SET @error = CASE @wanted WHEN N'hold' THEN N'@HoldRequestId: ' ELSE N'@RedirectRequestId: ' END + @error;
        THROW 50006, @error, 1;
    END;
    EXEC sendport.AddRequest N'release', @AlertId, @SendPort, @AlertName, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
        NULL, NULL, @HoldRequestId, @All, NULL, 0, 0, @Comment, @DryRun, @RequestId OUTPUT;
GO
-- Alerts that failed, expired, were cancelled or are partial are sent again: to the recipients that do not have them
-- (@Recipients = 'failed'), to all, also of alerts that were relayed ('all'), or to those that a redirect sent elsewhere
-- ('redirected').
CREATE PROCEDURE sendport.Requeue
    @AlertId bigint = NULL,
    @SendPort nvarchar(4000) = NULL,
    @AlertName nvarchar(4000) = NULL,
    @Reference nvarchar(4000) = NULL,
    @CreatedBy nvarchar(4000) = NULL,
    @Relay nvarchar(4000) = NULL,
    @Cause nvarchar(4000) = NULL,
    @Status nvarchar(4000) = NULL,
    @CreatedFrom datetime2(3) = NULL,
    @CreatedUntil datetime2(3) = NULL,
    @All bit = 0,
    @Recipients nvarchar(4000) = N'failed',
    @NewMessageId bit = 0,
    @Comment nvarchar(4000) = NULL,
    @DryRun bit = 0,
    @RequestId bigint = NULL OUTPUT
AS
    SET NOCOUNT ON;
    EXEC sendport.AddRequest N'requeue', @AlertId, @SendPort, @AlertName, @Reference, @CreatedBy, @Relay, @Cause, @Status,
        @CreatedFrom, @CreatedUntil, NULL, NULL, NULL, @All, @Recipients, @NewMessageId, 0, @Comment, @DryRun,
        @RequestId OUTPUT;
GO
-- Alerts that became final that long ago are deleted with all that belongs to them, or their bodies and attachments alone.
-- The service does it in batches, so that no statement locks a whole table, whatever transaction calls this.
CREATE PROCEDURE sendport.Purge
    @OlderThanDays int = NULL,
    @SendPort nvarchar(4000) = NULL,
    @Status nvarchar(4000) = NULL,
    @AlertName nvarchar(4000) = NULL,
    @AlertId bigint = NULL,
    @Reference nvarchar(4000) = NULL,
    @CreatedBy nvarchar(4000) = NULL,
    @CreatedFrom datetime2(3) = NULL,
    @CreatedUntil datetime2(3) = NULL,
    @FinalBefore datetime2(3) = NULL,
    @BodiesOnly bit = 0,
    @Comment nvarchar(4000) = NULL,
    @DryRun bit = 0,
    @RequestId bigint = NULL OUTPUT
AS
    SET NOCOUNT ON;
    EXEC sendport.AddRequest N'purge', @AlertId, @SendPort, @AlertName, @Reference, @CreatedBy, NULL, NULL, @Status,
        @CreatedFrom, @CreatedUntil, @OlderThanDays, @FinalBefore, NULL, 0, NULL, 0, @BodiesOnly, @Comment, @DryRun,
        @RequestId OUTPUT;
GO

-- ==== Database Mail: the result of @query ====
GO

-- The bytes of a text as Database Mail attaches it: UTF-16, little endian, with a byte order mark. Babelfish converts
-- to the code page of its collation, and has no bytes to concatenate.
IF SERVERPROPERTY(N'Babelfish') IS NULL
    EXEC (N'CREATE FUNCTION sendport.Utf16File (@Text nvarchar(max)) RETURNS varbinary(max) AS
            BEGIN
                RETURN 0xFFFE + CONVERT(varbinary(max), @Text);
            END');
ELSE
    EXEC (N'CREATE FUNCTION sendport.Utf16File (@Text nvarchar(max)) RETURNS varbinary(max) AS
            BEGIN
                DECLARE @digits varchar(16) = ''0123456789ABCDEF'', @hex varchar(max) = ''FFFE'', @n int = 1, @code int,
                        @length int = LEN(@Text + N''.'') - 1, @unit int, @second int;
                WHILE @n <= @length
                BEGIN
                    SET @code = UNICODE(SUBSTRING(@Text, @n, 1));
                    SET @second = -1;
                    SET @unit = @code;
                    IF @code > 65535
                    BEGIN
                        SET @unit = 55296 + (@code - 65536) / 1024;
                        SET @second = 56320 + (@code - 65536) % 1024;
                    END;
                    WHILE @unit >= 0
                    BEGIN
                        SET @hex = @hex + SUBSTRING(@digits, @unit % 256 / 16 + 1, 1) + SUBSTRING(@digits, @unit % 16 + 1, 1)
                            + SUBSTRING(@digits, @unit / 4096 + 1, 1) + SUBSTRING(@digits, @unit / 256 % 16 + 1, 1);
                        SET @unit = @second;
                        SET @second = -1;
                    END;
                    SET @n = @n + 1;
                END;
                RETURN CONVERT(varbinary(max), @hex, 2);
            END');
GO
-- The lines of a text, each broken after @Width characters (at most 32,767), as sqlcmd -w does it. By blocks: to take a
-- line from the front of a long text, and to add one to its end, copies the whole text.
CREATE FUNCTION sendport.WrappedLines (@Text nvarchar(max), @Width int) RETURNS nvarchar(max) AS
BEGIN
    DECLARE @done nvarchar(max) = N'', @from bigint = 1, @length bigint = LEN(@Text + N'.') - 1, @block nvarchar(max),
            @wrapped nvarchar(max), @size int, @at int, @take int;
    IF @length <= @Width
        RETURN @Text;
    WHILE @from <= @length
    BEGIN
        SET @block = SUBSTRING(@Text, @from, 65536);
        SET @size = LEN(@block + N'.') - 1;
        SET @wrapped = N'';
        SET @at = 1;
        -- Where the block is not the last one, what could be the start of a line of the next one is left to that.
        WHILE @size - @at >= @Width AND (@size - @at > @Width OR @from + @size > @length)
        BEGIN
            SET @take = CHARINDEX(NCHAR(10), SUBSTRING(@block, @at, @Width + 2));
            IF @take > 0
                SET @wrapped = @wrapped + SUBSTRING(@block, @at, @take);
            ELSE
            BEGIN
                SET @take = @Width;
                SET @wrapped = @wrapped + SUBSTRING(@block, @at, @take) + NCHAR(13) + NCHAR(10);
            END;
            SET @at = @at + @take;
        END;
        IF @from + @size > @length
        BEGIN
            SET @wrapped = @wrapped + SUBSTRING(@block, @at, @size);
            SET @at = @size + 1;
        END;
        SET @done = @done + @wrapped;
        SET @from = @from + @at - 1;
    END;
    RETURN @done;
END;
GO
-- Runs @query as the caller, in the caller's session and transaction, and answers its one result set as text:
-- as sqlcmd lays it out, as an HTML table, or as CSV (RFC 4180). @refusal: why it cannot be had. @error: the error of
-- the query, as sqlcmd writes it. Neither this procedure nor its callers have EXECUTE AS.
CREATE PROCEDURE sendport.RunMailQuery
    @query       nvarchar(max),
    @database    nvarchar(128),
    @format      nvarchar(8),
    @header      bit,
    @width       int,
    @separator   nvarchar(1),
    @no_truncate bit,
    @no_padding  bit,
    @result      nvarchar(max) OUTPUT,
    @refusal     nvarchar(2000) OUTPUT,
    @error       nvarchar(2000) OUTPUT
AS
BEGIN
    SET NOCOUNT ON;
    DECLARE @babelfish bit = CASE WHEN SERVERPROPERTY(N'Babelfish') IS NULL THEN 0 ELSE 1 END,
            @newline nvarchar(2) = NCHAR(13) + NCHAR(10), @sql nvarchar(max), @inner nvarchar(max), @stored nvarchar(max),
            @names nvarchar(max), @values nvarchar(max), @line nvarchar(max), @cell nvarchar(1000), @head nvarchar(max) = N'',
            @rows nvarchar(max), @count bigint, @type int, @number int, @message nvarchar(2000), @asked nvarchar(max), @table nvarchar(128),
            @blank nvarchar(20) = N' ;' + NCHAR(9) + NCHAR(10) + NCHAR(13), @glue nvarchar(20);
    CREATE TABLE #sendport_columns (
        ColumnId     int NOT NULL,
        Name         nvarchar(128) NOT NULL,
        TypeName     nvarchar(128) COLLATE Latin1_General_BIN2 NULL,
        MaxLength    int NULL,
        Digits       int NULL,
        Scale        int NULL,
        ErrorType    int NULL,
        ErrorNumber  int NULL,
        ErrorMessage nvarchar(2000) NULL,
        StoredAs     nvarchar(200) NULL,
        Width        int NULL,
        IsNumber     bit NULL,
        IsLarge      bit NULL,
        ValueText    nvarchar(400) NULL
    );
    BEGIN TRY
        -- What columns it has. A temporary table is described in a batch of one statement only (error 11525), so that
        -- SET NOCOUNT ON before it is left out.
        SET @asked = SUBSTRING(@query, PATINDEX(N'%[^' + @blank + N']%', @query COLLATE Latin1_General_BIN2), LEN(@query + N'.'));
        IF UPPER(LEFT(@asked, 14) COLLATE Latin1_General_BIN2) = N'SET NOCOUNT ON' AND CHARINDEX(SUBSTRING(@asked, 15, 1), @blank) > 0
        BEGIN
            SET @asked = SUBSTRING(@asked, 15, LEN(@asked + N'.'));
            SET @asked = SUBSTRING(@asked, PATINDEX(N'%[^' + @blank + N']%', @asked COLLATE Latin1_General_BIN2), LEN(@asked + N'.'));
        END;
        IF @babelfish = 0
        BEGIN
            -- The types of CLR, of which the system's own become text, have a name in user_type_name alone.
            SET @sql = N'INSERT INTO #sendport_columns (ColumnId, Name, TypeName, MaxLength, Digits, Scale, ErrorType, ErrorNumber, ErrorMessage)
                SELECT COALESCE(column_ordinal, 0), COALESCE(name, N''''),
                       COALESCE(LEFT(system_type_name, CHARINDEX(N''('', system_type_name + N''('') - 1),
                                CASE WHEN user_type_schema = N''sys'' THEN user_type_name END), max_length, precision, scale,
                       error_type, error_number, LEFT(error_message, 2000)
                FROM sys.dm_exec_describe_first_result_set(@asked, NULL, 0)';
            SET @inner = N'EXEC ' + QUOTENAME(@database) + N'.sys.sp_executesql @sql, N''@asked nvarchar(max)'', @asked';
            EXEC sp_executesql @inner, N'@sql nvarchar(max), @asked nvarchar(max)', @sql, @asked;
        END
        ELSE
        BEGIN
            -- Babelfish describes tables alone, and gives temporary ones no description: here @query is one SELECT, and
            -- its caller may create a table.
            SET @asked = RTRIM(@asked);
            WHILE RIGHT(@asked, 1) IN (N';', NCHAR(13), NCHAR(10))
                SET @asked = RTRIM(LEFT(@asked, LEN(@asked) - 1));
            SET @table = N'sendport_query_' + REPLACE(CONVERT(nvarchar(36), NEWID()), N'-', N'');
            SET @sql = N'SELECT q.* INTO dbo.' + @table + N' FROM (' + @asked + NCHAR(10) + N') q;
                INSERT INTO #sendport_columns (ColumnId, Name, TypeName, MaxLength, Digits, Scale)
                SELECT ORDINAL_POSITION, REPLACE(COLUMN_NAME, N''?column?'', N''''), DATA_TYPE,
                       CHARACTER_MAXIMUM_LENGTH * CASE WHEN DATA_TYPE IN (N''nchar'', N''nvarchar'') THEN 2 ELSE 1 END,
                       NUMERIC_PRECISION, COALESCE(DATETIME_PRECISION, NUMERIC_SCALE)
                FROM INFORMATION_SCHEMA.COLUMNS WHERE TABLE_NAME = N''' + @table + N'''';
            EXEC sp_executesql @sql;
            DELETE FROM #sendport_columns WHERE TypeName IN (N'binary', N'varbinary', N'image', N'timestamp', N'rowversion');
            IF @@ROWCOUNT > 0
                SET @refusal = N'Parameter @query returns bytes, which this server cannot show as text. Leave them out.';
        END;
        SELECT TOP (1) @type = ErrorType, @number = ErrorNumber, @message = ErrorMessage
        FROM #sendport_columns WHERE ErrorNumber IS NOT NULL;
        -- The types 3 to 12 say that it cannot be described; the others are errors of the query.
        IF @type BETWEEN 3 AND 12
            SET @refusal = CONCAT(N'Parameter @query: its result set cannot be described (error ', @number, N'): ', @message);
        ELSE IF @number IS NOT NULL
            SET @error = CONCAT(N'Msg ', @number, N', Level 16, State 1, Server ', @@SERVERNAME, N', Line 1', @newline, @message);
        ELSE IF EXISTS (SELECT 1 FROM #sendport_columns WHERE TypeName IS NULL)
            SELECT @refusal = CONCAT(N'Parameter @query: column ', MIN(ColumnId), N' has a type of its own. Convert it to text.')
            FROM #sendport_columns WHERE TypeName IS NULL;
        IF @refusal IS NOT NULL OR @error IS NOT NULL
        BEGIN
            DROP TABLE #sendport_columns;
            RETURN;
        END;

        -- How each column is stored, as wide as sqlcmd shows it, and its values as text.
        UPDATE #sendport_columns SET
            MaxLength = CASE WHEN TypeName IN (N'nchar', N'nvarchar') AND MaxLength > 0 THEN MaxLength / 2 ELSE MaxLength END,
            IsNumber = CASE WHEN TypeName IN (N'bit', N'tinyint', N'smallint', N'int', N'bigint', N'real', N'float', N'money',
                                              N'smallmoney', N'decimal', N'numeric', N'date', N'time', N'datetime',
                                              N'smalldatetime', N'datetime2', N'datetimeoffset') THEN 1 ELSE 0 END,
            IsLarge = CASE WHEN TypeName IN (N'text', N'ntext', N'image', N'xml', N'sql_variant', N'geometry', N'geography',
                                             N'hierarchyid', N'json') THEN 1
                           WHEN TypeName IN (N'varchar', N'nvarchar', N'varbinary') AND (MaxLength <= 0 OR MaxLength > 8000) THEN 1
                           ELSE 0 END;
        UPDATE #sendport_columns SET
            StoredAs = CASE
                WHEN TypeName IN (N'char', N'varchar', N'nchar', N'nvarchar', N'text', N'ntext') THEN
                    CASE WHEN IsLarge = 0 AND MaxLength BETWEEN 1 AND 4000 THEN CONCAT(N'nvarchar(', MaxLength, N')')
                         ELSE N'nvarchar(max)' END
                WHEN TypeName IN (N'binary', N'varbinary') AND IsLarge = 0 THEN CONCAT(N'varbinary(', MaxLength, N')')
                WHEN TypeName IN (N'varbinary', N'image') THEN N'varbinary(max)'
                WHEN TypeName IN (N'timestamp', N'rowversion') THEN N'varbinary(8)'
                WHEN TypeName IN (N'decimal', N'numeric') THEN CONCAT(N'decimal(', Digits, N', ', Scale, N')')
                WHEN TypeName IN (N'time', N'datetime2', N'datetimeoffset') THEN CONCAT(TypeName, N'(', Scale, N')')
                ELSE TypeName END,
            Width = CASE
                WHEN IsLarge = 1 THEN 256
                WHEN TypeName IN (N'char', N'varchar', N'nchar', N'nvarchar') THEN MaxLength
                WHEN TypeName IN (N'binary', N'varbinary') THEN CASE WHEN MaxLength < 3999 THEN 2 * MaxLength + 2 ELSE 8000 END
                WHEN TypeName IN (N'decimal', N'numeric') THEN Digits + 2
                ELSE CASE TypeName WHEN N'bit' THEN 1 WHEN N'tinyint' THEN 3 WHEN N'smallint' THEN 6 WHEN N'int' THEN 11
                                   WHEN N'bigint' THEN 21 WHEN N'real' THEN 14 WHEN N'smallmoney' THEN 14
                                   WHEN N'float' THEN 24 WHEN N'money' THEN 24 WHEN N'date' THEN 16 WHEN N'time' THEN 16
                                   WHEN N'datetime' THEN 23 WHEN N'smalldatetime' THEN 19 WHEN N'datetime2' THEN 38
                                   WHEN N'datetimeoffset' THEN 45 WHEN N'uniqueidentifier' THEN 36 ELSE 18 END END,
            ValueText = REPLACE(CASE
                WHEN TypeName IN (N'char', N'varchar', N'nchar', N'nvarchar', N'text', N'ntext') THEN N'CONVERT(nvarchar(max), $c)'
                WHEN TypeName IN (N'binary', N'varbinary', N'image', N'timestamp', N'rowversion') THEN
                    N'CONVERT(nvarchar(max), $c, 1)'
                WHEN TypeName IN (N'money', N'smallmoney') THEN N'LTRIM(CONVERT(nvarchar(max), $c, 2))'
                WHEN TypeName = N'float' THEN N'LTRIM(RTRIM(CASE WHEN CONVERT(float, CONVERT(nvarchar(30), $c)) = $c THEN CONVERT(nvarchar(30), $c) ELSE CONVERT(nvarchar(30), $c, 3) END))'
                WHEN TypeName = N'real' THEN N'LTRIM(RTRIM(CONVERT(nvarchar(30), $c)))'
                WHEN TypeName IN (N'datetime', N'datetime2', N'datetimeoffset') THEN N'CONVERT(nvarchar(max), $c, 121)'
                WHEN TypeName = N'smalldatetime' THEN N'CONVERT(nvarchar(max), $c, 120)'
                WHEN TypeName = N'date' THEN N'CONVERT(nvarchar(max), $c, 23)'
                ELSE N'CONVERT(nvarchar(max), $c)' END, N'$c', CONCAT(N'C', ColumnId));
        UPDATE #sendport_columns SET Width = CASE WHEN LEN(Name) > Width THEN LEN(Name) ELSE Width END;

        -- A cell, from $v: its value as text, NULL or not.
        SET @cell = CASE @format
            WHEN N'html' THEN N'N''<td>'' + REPLACE(REPLACE(REPLACE(REPLACE(COALESCE($v, N''NULL''), N''&'', N''&amp;''), N''<'', N''&lt;''), N''>'', N''&gt;''), NCHAR(10), N''<br>'') + N''</td>'''
            WHEN N'csv' THEN N'COALESCE(CASE WHEN CHARINDEX(N''"'', $v) + CHARINDEX(@separator, $v) + CHARINDEX(NCHAR(13), $v) + CHARINDEX(NCHAR(10), $v) > 0 OR $v = N'''' THEN N''"'' + REPLACE($v, N''"'', N''""'') + N''"'' ELSE $v END, N'''')'
            END;
        -- STRING_AGG takes a literal or a variable as its separator (error 8733).
        SET @glue = CASE @format WHEN N'html' THEN N' + ' ELSE N' + @separator + ' END;
        SELECT @stored = STRING_AGG(CONVERT(nvarchar(max), CONCAT(N'C', ColumnId, N' ', StoredAs, N' NULL')), N', ')
                         WITHIN GROUP (ORDER BY ColumnId),
               @names = STRING_AGG(CONVERT(nvarchar(max), CONCAT(N'C', ColumnId)), N', ') WITHIN GROUP (ORDER BY ColumnId),
               @values = STRING_AGG(CONVERT(nvarchar(max), CONCAT(ValueText, N' AS V', ColumnId)), N', ')
                         WITHIN GROUP (ORDER BY ColumnId),
               @line = STRING_AGG(CONVERT(nvarchar(max), CASE
                   WHEN @cell IS NOT NULL THEN REPLACE(@cell, N'$v', CONCAT(N'v.V', ColumnId))
                   WHEN @no_truncate = 1 THEN CONCAT(N'COALESCE(v.V', ColumnId, N', N''NULL'')')
                   WHEN @no_padding = 1 THEN CONCAT(N'RTRIM(LEFT(COALESCE(v.V', ColumnId, N', N''NULL''), ', Width, N'))')
                   WHEN IsNumber = 1 THEN REPLACE(REPLACE(N'CASE WHEN LEN(v.V$n) >= $w THEN v.V$n ELSE RIGHT(SPACE($w) + COALESCE(v.V$n, LEFT(N''NULL'', $w)), $w) END',
                       N'$n', CAST(ColumnId AS nvarchar(10))), N'$w', CAST(Width AS nvarchar(10)))
                   ELSE CONCAT(N'LEFT(COALESCE(v.V', ColumnId, N', N''NULL'') + SPACE(', Width, N'), ', Width, N')') END),
                   @glue) WITHIN GROUP (ORDER BY ColumnId)
        FROM #sendport_columns;
        -- A sum of texts of bounded length would end after 4,000 characters.
        SET @line = N'CONVERT(nvarchar(max), N'''') + ' + @line;

        IF @header = 1 AND @format = N'html'
            SELECT @head = N'<tr>' + STRING_AGG(CONVERT(nvarchar(max), N'<th>' + REPLACE(REPLACE(REPLACE(Name, N'&', N'&amp;'),
                               N'<', N'&lt;'), N'>', N'&gt;') + N'</th>'), N'') WITHIN GROUP (ORDER BY ColumnId) + N'</tr>' + @newline
            FROM #sendport_columns;
        ELSE IF @header = 1 AND @format = N'csv'
            SELECT @head = STRING_AGG(CONVERT(nvarchar(max), CASE WHEN CHARINDEX(N'"', Name) + CHARINDEX(@separator, Name) + CHARINDEX(NCHAR(13), Name)
                                    + CHARINDEX(NCHAR(10), Name) > 0 THEN N'"' + REPLACE(Name, N'"', N'""') + N'"' ELSE Name END), @separator) WITHIN GROUP (ORDER BY ColumnId) + @newline
            FROM #sendport_columns;
        ELSE IF @header = 1 AND @no_truncate = 0
        BEGIN
            IF @no_padding = 1
                SELECT @head = STRING_AGG(CONVERT(nvarchar(max), Name), @separator) WITHIN GROUP (ORDER BY ColumnId) + @newline
                     + STRING_AGG(REPLICATE(CONVERT(nvarchar(max), N'-'), CASE WHEN Name = N'' THEN 1 ELSE LEN(Name) END), @separator)
                       WITHIN GROUP (ORDER BY ColumnId) + @newline
                FROM #sendport_columns;
            ELSE
                SELECT @head = sendport.WrappedLines(STRING_AGG(LEFT(CONVERT(nvarchar(max), Name) + SPACE(Width), Width), @separator)
                                   WITHIN GROUP (ORDER BY ColumnId), @width) + @newline
                     + sendport.WrappedLines(STRING_AGG(REPLICATE(CONVERT(nvarchar(max), N'-'), Width), @separator)
                                   WITHIN GROUP (ORDER BY ColumnId), @width) + @newline
                FROM #sendport_columns;
        END;
        IF @format = N'html'
            SET @line = N'N''<tr>'' + ' + @line + N' + N''</tr>''';
        ELSE IF @format = N'text' AND @no_padding = 0
            SET @line = N'sendport.WrappedLines(' + @line + N', @width)';
        DROP TABLE #sendport_columns;

        -- Its rows. WITH RESULT SETS: exactly one result set, whatever its columns are named.
        IF @stored IS NULL
            SET @sql = N'EXEC ' + QUOTENAME(@database) + N'.sys.sp_executesql @query WITH RESULT SETS NONE';
        ELSE
        BEGIN
            SET @inner = N'EXEC sys.sp_executesql @query WITH RESULT SETS ((' + @stored + N'))';
            SET @sql = N'CREATE TABLE #sendport_rows (RowNumber bigint IDENTITY(1, 1) NOT NULL PRIMARY KEY, ' + @stored + N');
                INSERT INTO #sendport_rows (' + @names + N') ' +
                CASE @babelfish WHEN 0 THEN N'EXEC ' + QUOTENAME(@database) + N'.sys.sp_executesql @inner, N''@query nvarchar(max)'', @query'
                                ELSE N'SELECT * FROM dbo.' + @table + N'; DROP TABLE dbo.' + @table END + N';
                SELECT @count = COUNT(*), @rows = STRING_AGG(CONVERT(nvarchar(max), r.Line), N'''') WITHIN GROUP (ORDER BY r.RowNumber)
                FROM (SELECT v.RowNumber, ' + @line + N' + NCHAR(13) + NCHAR(10) AS Line
                      FROM (SELECT RowNumber, ' + @values + N' FROM #sendport_rows) v) r;
                DROP TABLE #sendport_rows';
        END;
        EXEC sp_executesql @sql, N'@query nvarchar(max), @inner nvarchar(max), @separator nvarchar(1), @width int, @count bigint OUTPUT, @rows nvarchar(max) OUTPUT',
             @query, @inner, @separator, @width, @count OUTPUT, @rows OUTPUT;
        SET @result = CASE WHEN @stored IS NULL THEN N''
            WHEN @format = N'html' THEN N'<table border="1" cellspacing="0" cellpadding="4">' + @newline + @head + COALESCE(@rows, N'') + N'</table>'
            ELSE @head + COALESCE(@rows, N'') END;
        IF @format = N'text' AND @stored IS NOT NULL
           AND REPLACE(REPLACE(REPLACE(@query, NCHAR(13), N' '), NCHAR(10), N' '), NCHAR(9), N' ')
               COLLATE Latin1_General_CI_AS NOT LIKE N'%SET NOCOUNT ON%'
            SET @result = CONCAT(@result, @newline, N'(', @count, N' rows affected)', @newline);
    END TRY
    BEGIN CATCH
        SET @number = ERROR_NUMBER();
        SET @refusal = CASE
            WHEN @number = 8164 THEN N'Parameter @query cannot run where INSERT ... EXEC would be nested (error 8164): call sp_send_dbmail outside of one, and use none in @query.'
            WHEN @number = 3915 THEN N'Parameter @query cannot roll back a transaction (error 3915).'
            WHEN @number = 3916 THEN N'Parameter @query cannot commit a transaction that it did not begin (error 3916).'
            WHEN @number IN (6819, 13602) THEN CONCAT(N'Parameter @query cannot end in FOR XML or FOR JSON (error ', @number, N'). Write SELECT (SELECT ... FOR JSON PATH) AS Document.')
            WHEN @number IN (11535, 11536, 11537, 11538, 213) THEN CONCAT(N'Parameter @query returns another result set than its first one was described as (error ', @number, N'). Expected one result set.')
            END;
        IF @refusal IS NULL
            SET @error = LEFT(CONCAT(N'Msg ', @number, N', Level ', ERROR_SEVERITY(), N', State ', ERROR_STATE(), N', Server ',
                                     @@SERVERNAME, N', Line ', ERROR_LINE(), @newline, ERROR_MESSAGE()), 2000);
        -- SQL Server drops it at the end; in a doomed transaction it could not be dropped here.
        IF @babelfish = 1 AND OBJECT_ID(N'tempdb..#sendport_columns') IS NOT NULL
            DROP TABLE #sendport_columns;
    END CATCH;
END;
GO

-- ==== Database Mail: sp_send_dbmail, with the parameters and errors of msdb.dbo.sp_send_dbmail ====
GO

-- The send ports as profiles, for @profile_name and the views below.
CREATE VIEW sendport.sysmail_profile (profile_id, name, description, last_mod_datetime, last_mod_user) AS
SELECT SendPortId, CAST(Name AS nvarchar(128)), CAST(FromAddress AS nvarchar(256)),
       CAST(DATEADD(minute, DATEDIFF(minute, GETUTCDATE(), GETDATE()), LastSeenAt) AS datetime), CAST(N'sendport' AS nvarchar(128))
FROM sendport.SendPort WITH (READUNCOMMITTED);
GO
-- Raises an error of Database Mail: by its number where the server has its text (in the language of the session),
-- else as 50000 with @Text, whose %s is @Argument.
CREATE PROCEDURE sendport.RaiseDatabaseMailError @Number int, @Argument nvarchar(2000), @Text nvarchar(2000) AS
BEGIN
    IF SERVERPROPERTY(N'Babelfish') IS NULL
        IF EXISTS (SELECT 1 FROM sys.messages WHERE message_id = @Number)
        BEGIN
            RAISERROR (@Number, 16, 1, @Argument);
            RETURN;
        END;
    RAISERROR (@Text, 16, 1, @Argument);
END;
GO
-- Inserts an alert and answers its AlertId as @mailitem_id (NULL above 2,147,483,647; the printed line has it). It runs
-- as the caller, in the caller's transaction, or else in one of its own. An error after the checks dooms the
-- transaction, so that no alert is committed without its files.
CREATE PROCEDURE sendport.sp_send_dbmail
    @profile_name                nvarchar(128) = NULL,
    @recipients                  nvarchar(max) = NULL,
    @copy_recipients             nvarchar(max) = NULL,
    @blind_copy_recipients       nvarchar(max) = NULL,
    @subject                     nvarchar(max) = NULL,
    @body                        nvarchar(max) = NULL,
    @body_format                 nvarchar(64) = NULL,
    @importance                  nvarchar(64) = N'NORMAL',
    @sensitivity                 nvarchar(64) = N'NORMAL',
    @file_attachments            nvarchar(max) = NULL,
    @query                       nvarchar(max) = NULL,
    @execute_query_database      nvarchar(128) = NULL,
    @attach_query_result_as_file bit = 0,
    @query_attachment_filename   nvarchar(260) = NULL,
    @query_result_header         bit = 1,
    @query_result_width          int = 256,
    @query_result_separator      nvarchar(64) = N' ',
    @exclude_query_output        bit = 0,
    @append_query_error          bit = 0,
    @query_no_truncate           bit = 0,
    @query_result_no_padding     bit = 0,
    @mailitem_id                 int = NULL OUTPUT,
    @from_address                nvarchar(max) = NULL,
    @reply_to                    nvarchar(max) = NULL,
    -- Beyond Database Mail: text, html or csv.
    @query_result_format         nvarchar(64) = N'text'
AS
BEGIN
    SET NOCOUNT ON;
    DECLARE @code int = 0, @number int = 50000, @argument nvarchar(2000), @text nvarchar(2000),
            @port nvarchar(64) = N'default', @own bit = 0, @id bigint, @database nvarchar(128),
            @asks bit = CASE WHEN LEN(@query) > 0 THEN 1 ELSE 0 END, @separator nvarchar(1), @file nvarchar(260),
            @newline nvarchar(2) = NCHAR(13) + NCHAR(10), @result nvarchar(max), @refusal nvarchar(2000), @error nvarchar(2000);
    DECLARE @inserted TABLE (AlertId bigint NOT NULL);

    -- Until the service has run once, nobody knows its send ports.
    IF EXISTS (SELECT 1 FROM sendport.sysmail_profile)
       AND NOT EXISTS (SELECT 1 FROM sendport.sysmail_profile WHERE name = COALESCE(@profile_name, N'default'))
        SELECT @code = 1,
               @number = CASE WHEN @profile_name IS NULL THEN 14636 ELSE 14607 END,
               @argument = N'profile',
               @text = CASE WHEN @profile_name IS NULL
                            THEN N'No global profile is configured. Specify a profile name in the @profile_name parameter.'
                            ELSE N'profile name is not valid' END;
    ELSE IF LEN(@profile_name) > 64
        SELECT @code = 1, @number = 14607, @argument = N'profile', @text = N'profile name is not valid';
    ELSE IF @attach_query_result_as_file IS NULL
        SELECT @code = 2, @number = 14618, @argument = N'attach_query_result_as_file';
    ELSE IF @exclude_query_output IS NULL
        SELECT @code = 3, @number = 14618, @argument = N'exclude_query_output';
    ELSE IF @query_result_header IS NULL
        SELECT @code = 4, @number = 14618, @argument = N'query_result_header';
    ELSE IF @query_result_separator IS NULL
        SELECT @code = 5, @number = 14618, @argument = N'query_result_separator';
    ELSE IF @append_query_error IS NULL
        SELECT @code = 6, @number = 14618, @argument = N'append_query_error';
    ELSE IF @body_format COLLATE Latin1_General_CI_AS NOT IN (N'TEXT', N'HTML')
        SELECT @code = 13, @number = 14626, @argument = @body_format,
               @text = N'Parameter @mailformat does not support the value "%s". The mail format must be TEXT or HTML.';
    ELSE IF @importance IS NULL
        SELECT @code = 15, @number = 14618, @argument = N'importance';
    ELSE IF @importance COLLATE Latin1_General_CI_AS NOT IN (N'LOW', N'NORMAL', N'HIGH')
        SELECT @code = 16, @number = 14622, @argument = @importance,
               @text = N'Parameter @importance does not support the value "%s". Mail importance must be one of LOW, NORMAL, or HIGH.';
    ELSE IF @sensitivity IS NULL
        SELECT @code = 17, @number = 14618, @argument = N'sensitivity';
    ELSE IF @sensitivity COLLATE Latin1_General_CI_AS NOT IN (N'NORMAL', N'PERSONAL', N'PRIVATE', N'CONFIDENTIAL')
        SELECT @code = 18, @number = 14623, @argument = @sensitivity,
               @text = N'Parameter @sensitivity does not support the value "%s". Mail sensitivity must be one of NORMAL, PERSONAL, PRIVATE, or CONFIDENTIAL.';
    ELSE IF LEN(CONCAT(@body, @query, @file_attachments, @subject)) = 0
        SELECT @code = 19, @number = 14624, @argument = N'@body, @query, @file_attachments, @subject';
    ELSE IF LEN(CONCAT(@recipients, @copy_recipients, @blind_copy_recipients)) = 0
        SELECT @code = 20, @number = 14624, @argument = N'@recipients, @copy_recipients, @blind_copy_recipients';
    ELSE IF @attach_query_result_as_file = 1 AND COALESCE(LEN(@query), 0) = 0
        SELECT @code = 21, @number = 14625,
               @text = N'Parameter @attach_query_result_as_file cannot be 1 (true) when no value is specified for parameter @query. A query must be specified to attach the results of the query.';
    ELSE IF LEN(@subject) > 998
        SELECT @code = 22, @argument = CAST(LEN(@subject) AS nvarchar(20)),
               @text = N'Parameter @subject has %s characters. Expected at most 998.';
    ELSE IF LEN(@from_address) > 1000
        SELECT @code = 23, @argument = CAST(LEN(@from_address) AS nvarchar(20)),
               @text = N'Parameter @from_address has %s characters. Expected at most 1000.';
    ELSE IF LEN(@reply_to) > 1000
        SELECT @code = 24, @argument = CAST(LEN(@reply_to) AS nvarchar(20)),
               @text = N'Parameter @reply_to has %s characters. Expected at most 1000.';
    ELSE IF @asks = 1
    BEGIN
        SELECT @database = COALESCE(NULLIF(@execute_query_database, N''), DB_NAME()),
               @query_result_format = LOWER(COALESCE(@query_result_format, N'text') COLLATE Latin1_General_BIN2),
               @query_no_truncate = COALESCE(@query_no_truncate, 0), @query_result_no_padding = COALESCE(@query_result_no_padding, 0),
               @file = LTRIM(RTRIM(@query_attachment_filename));
        IF @query_result_width IS NULL OR @query_result_width NOT BETWEEN 10 AND 32767
            SELECT @code = 26, @argument = COALESCE(CAST(@query_result_width AS nvarchar(20)), N'NULL'),
                   @text = N'Parameter @query_result_width is %s. Expected 10 to 32767.';
        ELSE IF LEN(@query_result_separator + N'.') > 2
            SELECT @code = 27, @argument = @query_result_separator,
                   @text = N'Parameter @query_result_separator is "%s". Expected one character.';
        ELSE IF @query_result_no_padding = 1 AND @query_no_truncate = 1
            SELECT @code = 28, @text = N'Failed to execute the query because the @query_result_no_append and @query_no_truncate options are mutually exclusive.';
        ELSE IF @query_result_format NOT IN (N'text', N'html', N'csv')
            SELECT @code = 29, @argument = @query_result_format,
                   @text = N'Parameter @query_result_format does not support the value "%s". Expected text, html or csv.';
        ELSE IF @query_result_format = N'html' AND @attach_query_result_as_file = 0
                AND COALESCE(@body_format, N'TEXT') COLLATE Latin1_General_CI_AS <> N'HTML'
            SELECT @code = 29, @text = N'Parameter @query_result_format is html. Expected @body_format = HTML, or @attach_query_result_as_file = 1.';
        ELSE IF LEN(@file) > 255
            SELECT @code = 30, @text = N'Parameter @query_attachment_filename has more than 255 characters.';
        ELSE IF @database <> DB_NAME() AND (SERVERPROPERTY(N'EngineEdition') = 5 OR SERVERPROPERTY(N'Babelfish') IS NOT NULL)
            SELECT @code = 31, @argument = @database,
                   @text = N'Parameter @execute_query_database is "%s". This server runs a query in the current database only.';
        ELSE IF DB_ID(@database) IS NULL
            SELECT @code = 31, @number = 14633, @argument = @database,
                   @text = N'The database name "%s" specified in @execute_query_database is invalid. There is no database by that name.';
        ELSE IF HAS_DBACCESS(@database) = 0
            SELECT @code = 31, @number = 14631, @argument = SUSER_SNAME(),
                   @text = N'The current user (''%s'') either does not have permission to access the database specified in the parameter @execute_query_database or cannot impersonate the user specified in the parameter @execute_query_as.';
    END;
    IF @code <> 0
    BEGIN
        IF @text IS NULL
            SET @text = CASE @number WHEN 14618 THEN N'Parameter ''%s'' must be specified. This parameter cannot be NULL.'
                                     ELSE N'At least one of the following parameters must be specified. "%s".' END;
        EXEC sendport.RaiseDatabaseMailError @number, @argument, @text;
        RETURN @code;
    END;

    IF @asks = 1
    BEGIN
        -- CSV has its own separator, where none is asked for.
        SET @separator = CASE WHEN @query_result_separator <> N'' THEN @query_result_separator
                              WHEN @query_result_format = N'csv' THEN N',' ELSE N' ' END;
        EXEC sendport.RunMailQuery @query, @database, @query_result_format, @query_result_header, @query_result_width, @separator,
             @query_no_truncate, @query_result_no_padding, @result OUTPUT, @refusal OUTPUT, @error OUTPUT;
        -- Nothing can be written in a transaction that the query doomed.
        IF @refusal IS NULL AND @error IS NOT NULL AND (@append_query_error = 0 OR XACT_STATE() = -1)
            SELECT @number = 14661, @argument = @error, @text = N'Query execution failed: %s';
        ELSE IF @refusal IS NOT NULL
            SELECT @argument = @refusal, @text = N'%s';
        IF @text IS NOT NULL
        BEGIN
            EXEC sendport.RaiseDatabaseMailError @number, @argument, @text;
            RETURN 1;
        END;
        IF @error IS NOT NULL OR @attach_query_result_as_file = 0
            SET @body = CONCAT(@body, @newline, CASE
                WHEN @body_format COLLATE Latin1_General_CI_AS = N'HTML' AND (@error IS NOT NULL OR @query_result_format <> N'html')
                THEN N'<pre>' + REPLACE(REPLACE(COALESCE(@error, @result), N'&', N'&amp;'), N'<', N'&lt;') + N'</pre>'
                ELSE COALESCE(@error, @result) END);
        IF COALESCE(@file, N'') = N''
            SET @file = CONCAT(N'QueryResults', ABS(CHECKSUM(NEWID()) % 1000000), N'.',
                               CASE @query_result_format WHEN N'text' THEN N'txt' ELSE @query_result_format END);
    END;
    IF @profile_name IS NOT NULL
        SET @port = @profile_name;
    IF @@TRANCOUNT = 0
        SET @own = 1;
    SET XACT_ABORT ON;
    BEGIN TRY
        IF @own = 1
            BEGIN TRANSACTION;
        INSERT INTO sendport.Alert (ToRecipients, CcRecipients, BccRecipients, FromAddress, ReplyTo, Subject, Body,
                                    BodyFormat, Importance, Sensitivity, SendPort, FileAttachments)
        OUTPUT inserted.AlertId INTO @inserted (AlertId)
        VALUES (NULLIF(@recipients, N''), NULLIF(@copy_recipients, N''), NULLIF(@blind_copy_recipients, N''),
                NULLIF(@from_address, N''), NULLIF(@reply_to, N''),
                CASE WHEN LEN(@subject) > 0 THEN @subject ELSE N'SQL Server Message' END, COALESCE(@body, N''),
                LOWER(COALESCE(@body_format, N'text') COLLATE Latin1_General_BIN2), LOWER(@importance COLLATE Latin1_General_BIN2),
                LOWER(@sensitivity COLLATE Latin1_General_BIN2), @port, NULLIF(@file_attachments, N''));
        SELECT @id = AlertId FROM @inserted;
        IF @asks = 1 OR @exclude_query_output = 1
            INSERT INTO sendport.DatabaseMailItem (AlertId, Query, ExecuteQueryDatabase, AttachQueryResultAsFile,
                QueryResultHeader, QueryResultWidth, QueryResultSeparator, ExcludeQueryOutput, AppendQueryError)
            VALUES (@id, @query, @execute_query_database, @attach_query_result_as_file, @query_result_header,
                    @query_result_width, LEFT(@query_result_separator + N' ', 1), @exclude_query_output, @append_query_error);
        IF @attach_query_result_as_file = 1 AND @error IS NULL
            INSERT INTO sendport.Attachment (AlertId, FileName, Content) VALUES (@id, @file, sendport.Utf16File(@result));
        IF @own = 1
            COMMIT TRANSACTION;
    END TRY
    BEGIN CATCH
        IF @own = 1 AND @@TRANCOUNT > 0
            ROLLBACK TRANSACTION;
        THROW;
    END CATCH;
    IF @id <= 2147483647
        SET @mailitem_id = @id;
    ELSE
        SET @mailitem_id = NULL;
    IF @exclude_query_output = 0
        PRINT N'Mail (Id: ' + CAST(@id AS nvarchar(20)) + N') queued.';
    RETURN 0;
END;
GO

-- ==== Database Mail: its views, with their columns ====
GO

-- Every alert as a row of sysmail_allitems. Times are local, as Database Mail's are, by the difference that the server
-- has from UTC now. mailitem_id is bigint, so that a predicate on it is a seek. Some failed recipients make an alert
-- failed. sent_account_id is the position of the relay among those of the send port, from 1.
CREATE VIEW sendport.MailItem (
    mailitem_id, profile_id, recipients, copy_recipients, blind_copy_recipients, subject, body, body_format,
    importance, sensitivity, file_attachments, attachment_encoding, query, execute_query_database,
    attach_query_result_as_file, query_result_header, query_result_width, query_result_separator,
    exclude_query_output, append_query_error, send_request_date, send_request_user, sent_account_id,
    sent_status, sent_date, last_mod_date, last_mod_user) AS
SELECT a.AlertId, p.SendPortId, a.ToRecipients, a.CcRecipients, a.BccRecipients, a.Subject, a.Body,
       CAST(UPPER(a.BodyFormat) AS varchar(20)), CAST(UPPER(a.Importance) AS varchar(6)),
       CAST(UPPER(a.Sensitivity) AS varchar(12)), a.FileAttachments, CAST('MIME' AS varchar(20)),
       d.Query, d.ExecuteQueryDatabase, COALESCE(d.AttachQueryResultAsFile, CAST(0 AS bit)),
       COALESCE(d.QueryResultHeader, CAST(1 AS bit)), COALESCE(d.QueryResultWidth, 256),
       CAST(COALESCE(d.QueryResultSeparator, N' ') AS nchar(1)), COALESCE(d.ExcludeQueryOutput, CAST(0 AS bit)),
       COALESCE(d.AppendQueryError, CAST(0 AS bit)), CAST(DATEADD(minute, o.Minutes, a.CreatedAt) AS datetime), a.CreatedBy,
       CASE WHEN a.Status = N'relayed'
            THEN (SELECT TOP (1) r.Ordinal + 1
                  FROM sendport.Attempt t
                  JOIN sendport.SendPortRelay r ON r.SendPort = a.SendPort AND r.Relay = t.Relay COLLATE Latin1_General_BIN2
                  WHERE t.AlertId = a.AlertId
                  ORDER BY t.AttemptId DESC) END,
       CAST(CASE WHEN a.Status = N'relayed' THEN 'sent'
                 WHEN a.Status NOT IN (N'queued', N'sending', N'delayed', N'held') THEN 'failed'
                 WHEN a.AttemptCount = 0 THEN 'unsent'
                 ELSE 'retrying' END AS varchar(8)),
       CAST(DATEADD(minute, o.Minutes, CASE WHEN a.AttemptCount > 0 OR a.FinalAt IS NOT NULL THEN COALESCE(a.FinalAt, a.StatusAt) END) AS datetime),
       CAST(DATEADD(minute, o.Minutes, a.StatusAt) AS datetime),
       CASE WHEN a.Status = N'queued' AND a.AttemptCount = 0 THEN a.CreatedBy ELSE CAST(N'sendport' AS nvarchar(128)) END
FROM sendport.AlertRow a
CROSS JOIN (SELECT DATEDIFF(minute, GETUTCDATE(), GETDATE()) AS Minutes) o
LEFT JOIN sendport.SendPort p ON p.Name = a.SendPort
LEFT JOIN sendport.DatabaseMailItem d ON d.AlertId = a.AlertId;
GO
-- Every file of an alert as a row of sysmail_mailattachments.
CREATE VIEW sendport.MailAttachment (
    attachment_id, mailitem_id, filename, filesize, attachment, last_mod_date, last_mod_user) AS
SELECT t.AttachmentId, t.AlertId, CAST(t.FileName AS nvarchar(520)), CAST(DATALENGTH(t.Content) AS int), t.Content,
       CAST(DATEADD(minute, o.Minutes, a.CreatedAt) AS datetime), a.CreatedBy
FROM sendport.AttachmentRow t
JOIN sendport.AlertRow a ON a.AlertId = t.AlertId
CROSS JOIN (SELECT DATEDIFF(minute, GETUTCDATE(), GETDATE()) AS Minutes) o;
GO
-- Every event as a row of sysmail_event_log, and one row for each alert that failed, with the reasons of all its
-- recipients: so the log of Database Mail is read. log_id is even for the former, odd for the latter.
CREATE VIEW sendport.MailEvent (
    log_id, event_type, log_date, description, process_id, mailitem_id, account_id, last_mod_date, last_mod_user) AS
SELECT e.EventId * 2, CAST(e.Severity AS varchar(11)), CAST(DATEADD(minute, o.Minutes, e.LoggedAt) AS datetime), e.Message,
       CAST(i.ProcessId AS int), e.AlertId, CAST(NULL AS int), CAST(DATEADD(minute, o.Minutes, e.LoggedAt) AS datetime),
       COALESCE(a.CreatedBy, CAST(N'sendport' AS nvarchar(128)))
FROM sendport.EventLog e
CROSS JOIN (SELECT DATEDIFF(minute, GETUTCDATE(), GETDATE()) AS Minutes) o
LEFT JOIN sendport.AlertRow a ON a.AlertId = e.AlertId
LEFT JOIN sendport.Instance i ON i.InstanceId = e.InstanceId
UNION ALL
SELECT a.AlertId * 2 + 1, CAST('error' AS varchar(11)), CAST(DATEADD(minute, o.Minutes, a.StatusAt) AS datetime),
       CONCAT(N'The mail could not be sent to the recipients: ', COALESCE(a.StatusReason,
           (SELECT STRING_AGG(CONVERT(nvarchar(max), CONCAT(r.Address, N': ', r.ReplyCode, N' ' + r.EnhancedStatusCode,
                                                            N' ' + r.ReplyText)), N'; ') WITHIN GROUP (ORDER BY r.Ordinal)
            FROM sendport.Recipient r
            WHERE r.AlertId = a.AlertId AND r.Status IN (N'failed', N'expired')), a.Status)),
       CAST(NULL AS int), a.AlertId, CAST(NULL AS int), CAST(DATEADD(minute, o.Minutes, a.StatusAt) AS datetime), a.CreatedBy
FROM sendport.AlertRow a
CROSS JOIN (SELECT DATEDIFF(minute, GETUTCDATE(), GETDATE()) AS Minutes) o
WHERE a.Status IN (N'failed', N'expired', N'partial');
GO
-- The rows of the caller, as above: functions are the barrier.
IF SERVERPROPERTY(N'Babelfish') IS NULL
BEGIN
    EXEC (N'CREATE VIEW sendport.OwnMailItem AS
            SELECT * FROM sendport.MailItem WITH (READCOMMITTED) WHERE send_request_user = SUSER_SNAME()');
    EXEC (N'CREATE VIEW sendport.OwnMailAttachment AS
            SELECT * FROM sendport.MailAttachment WITH (READCOMMITTED) WHERE last_mod_user = SUSER_SNAME()');
    EXEC (N'CREATE VIEW sendport.OwnMailEvent AS
            SELECT * FROM sendport.MailEvent WITH (READCOMMITTED)
            WHERE last_mod_user = SUSER_SNAME() AND mailitem_id IS NOT NULL');
END
ELSE
BEGIN
    EXEC (N'CREATE VIEW sendport.OwnMailItem AS
            SELECT TOP (100) PERCENT * FROM sendport.MailItem WHERE send_request_user = SUSER_SNAME()
            ORDER BY ROW_NUMBER() OVER (PARTITION BY mailitem_id ORDER BY mailitem_id)');
    EXEC (N'CREATE VIEW sendport.OwnMailAttachment AS
            SELECT TOP (100) PERCENT * FROM sendport.MailAttachment WHERE last_mod_user = SUSER_SNAME()
            ORDER BY ROW_NUMBER() OVER (PARTITION BY mailitem_id ORDER BY mailitem_id)');
    EXEC (N'CREATE VIEW sendport.OwnMailEvent AS
            SELECT TOP (100) PERCENT * FROM sendport.MailEvent
            WHERE last_mod_user = SUSER_SNAME() AND mailitem_id IS NOT NULL
            ORDER BY ROW_NUMBER() OVER (PARTITION BY mailitem_id ORDER BY mailitem_id)');
END;
GO
-- One row where the caller may see what others sent, else none.
CREATE FUNCTION sendport.MailOfAll () RETURNS @allowed TABLE (Allowed bit NOT NULL) AS
BEGIN
    IF IS_MEMBER(N'sendport_reader') = 1 OR IS_MEMBER(N'db_owner') = 1 OR USER_NAME() = N'dbo'
        INSERT INTO @allowed (Allowed) VALUES (1);
    RETURN;
END;
GO
-- What the caller sent, where it may not see all. Babelfish has all rows from here, too.
CREATE FUNCTION sendport.MyMailItems () RETURNS @own TABLE (
    mailitem_id                 bigint NOT NULL,
    profile_id                  int NULL,
    recipients                  nvarchar(max) NULL,
    copy_recipients             nvarchar(max) NULL,
    blind_copy_recipients       nvarchar(max) NULL,
    subject                     nvarchar(998) NULL,
    body                        nvarchar(max) NULL,
    body_format                 varchar(20) NULL,
    importance                  varchar(6) NULL,
    sensitivity                 varchar(12) NULL,
    file_attachments            nvarchar(max) NULL,
    attachment_encoding         varchar(20) NULL,
    query                       nvarchar(max) NULL,
    execute_query_database      nvarchar(128) NULL,
    attach_query_result_as_file bit NULL,
    query_result_header         bit NULL,
    query_result_width          int NULL,
    query_result_separator      nchar(1) NULL,
    exclude_query_output        bit NULL,
    append_query_error          bit NULL,
    send_request_date           datetime NOT NULL,
    send_request_user           nvarchar(128) NOT NULL,
    sent_account_id             int NULL,
    sent_status                 varchar(8) NULL,
    sent_date                   datetime NULL,
    last_mod_date               datetime NOT NULL,
    last_mod_user               nvarchar(128) NOT NULL) AS
BEGIN
    IF NOT EXISTS (SELECT 1 FROM sendport.MailOfAll())
        INSERT INTO @own SELECT * FROM sendport.OwnMailItem;
    ELSE IF SERVERPROPERTY(N'Babelfish') IS NOT NULL
        INSERT INTO @own SELECT * FROM sendport.MailItem;
    RETURN;
END;
GO
CREATE FUNCTION sendport.MyMailAttachments () RETURNS @own TABLE (
    attachment_id bigint NOT NULL,
    mailitem_id   bigint NOT NULL,
    filename      nvarchar(520) NULL,
    filesize      int NULL,
    attachment    varbinary(max) NULL,
    last_mod_date datetime NOT NULL,
    last_mod_user nvarchar(128) NOT NULL) AS
BEGIN
    IF NOT EXISTS (SELECT 1 FROM sendport.MailOfAll())
        INSERT INTO @own SELECT * FROM sendport.OwnMailAttachment;
    ELSE IF SERVERPROPERTY(N'Babelfish') IS NOT NULL
        INSERT INTO @own SELECT * FROM sendport.MailAttachment;
    RETURN;
END;
GO
CREATE FUNCTION sendport.MyMailEvents () RETURNS @own TABLE (
    log_id        bigint NOT NULL,
    event_type    varchar(11) NULL,
    log_date      datetime NOT NULL,
    description   nvarchar(max) NULL,
    process_id    int NULL,
    mailitem_id   bigint NULL,
    account_id    int NULL,
    last_mod_date datetime NOT NULL,
    last_mod_user nvarchar(128) NOT NULL) AS
BEGIN
    IF NOT EXISTS (SELECT 1 FROM sendport.MailOfAll())
        INSERT INTO @own SELECT * FROM sendport.OwnMailEvent;
    ELSE IF SERVERPROPERTY(N'Babelfish') IS NOT NULL
        INSERT INTO @own SELECT * FROM sendport.MailEvent;
    RETURN;
END;
GO
-- The loop join reads what others sent only where MailOfAll has a row: before that no predicate is evaluated on it.
-- Babelfish could evaluate one earlier.
IF SERVERPROPERTY(N'Babelfish') IS NULL
BEGIN
    EXEC (N'CREATE VIEW sendport.sysmail_allitems AS
            SELECT i.* FROM sendport.MailOfAll() g INNER LOOP JOIN sendport.MailItem i ON g.Allowed = 1
            UNION ALL
            SELECT * FROM sendport.MyMailItems()');
    EXEC (N'CREATE VIEW sendport.sysmail_mailattachments AS
            SELECT i.* FROM sendport.MailOfAll() g INNER LOOP JOIN sendport.MailAttachment i ON g.Allowed = 1
            UNION ALL
            SELECT * FROM sendport.MyMailAttachments()');
    EXEC (N'CREATE VIEW sendport.sysmail_event_log AS
            SELECT i.* FROM sendport.MailOfAll() g INNER LOOP JOIN sendport.MailEvent i ON g.Allowed = 1
            UNION ALL
            SELECT * FROM sendport.MyMailEvents()');
END
ELSE
BEGIN
    EXEC (N'CREATE VIEW sendport.sysmail_allitems AS SELECT * FROM sendport.MyMailItems()');
    EXEC (N'CREATE VIEW sendport.sysmail_mailattachments AS SELECT * FROM sendport.MyMailAttachments()');
    EXEC (N'CREATE VIEW sendport.sysmail_event_log AS SELECT * FROM sendport.MyMailEvents()');
END;
GO
CREATE VIEW sendport.sysmail_sentitems AS SELECT * FROM sendport.sysmail_allitems WHERE sent_status = 'sent';
GO
CREATE VIEW sendport.sysmail_unsentitems AS
SELECT * FROM sendport.sysmail_allitems WHERE sent_status IN ('unsent', 'retrying');
GO
CREATE VIEW sendport.sysmail_faileditems AS SELECT * FROM sendport.sysmail_allitems WHERE sent_status = 'failed';
GO

-- ==== Database Mail: its procedures for administrators. Only db_owner may execute them ====
GO

-- Why a procedure below does nothing: it deletes in transactions of its own.
CREATE PROCEDURE sendport.RefuseInTransaction @Procedure nvarchar(128) AS
    IF @@TRANCOUNT > 0
        RAISERROR (N'%s deletes in many short transactions, and cannot run in a transaction of its caller. Commit it first.', 16, 1, @Procedure);
GO
-- Deletes final alerts with all that belongs to them, a few at a time: never more than 1,000 rows in a statement. Alerts
-- that wait are kept. @sent_before is compared with the time of the insert, and is local, as in sysmail_allitems.
CREATE PROCEDURE sendport.sysmail_delete_mailitems_sp
    @sent_before datetime = NULL,
    @sent_status varchar(8) = NULL
AS
BEGIN
    SET NOCOUNT, XACT_ABORT ON;
    DECLARE @before datetime2(3) = DATEADD(minute, DATEDIFF(minute, GETDATE(), GETUTCDATE()), @sent_before),
            @last bigint = 0, @taken int = 1, @rows int, @deleted bigint = 0;
    DECLARE @ids TABLE (AlertId bigint NOT NULL PRIMARY KEY, Recipients int NOT NULL);
    DECLARE @days TABLE ([Day] date NOT NULL, SendPort nvarchar(64) COLLATE Latin1_General_BIN2 NOT NULL,
        Status nvarchar(16) COLLATE Latin1_General_BIN2 NOT NULL, Alerts int NOT NULL, Recipients int NOT NULL);
    IF @@TRANCOUNT > 0
    BEGIN
        EXEC sendport.RefuseInTransaction N'sysmail_delete_mailitems_sp';
        RETURN 1;
    END;
    IF @sent_before IS NULL AND @sent_status IS NULL
    BEGIN
        RAISERROR (N'Either @sent_before or @sent_status must be specified.', 16, 1);
        RETURN 1;
    END;
    IF @sent_status COLLATE Latin1_General_CI_AS NOT IN ('sent', 'failed')
    BEGIN
        RAISERROR (N'Parameter @sent_status does not support the value ''%s''. Expected sent or failed: alerts that wait are cancelled, not deleted.', 16, 1, @sent_status);
        RETURN 1;
    END;
    WHILE @taken > 0
    BEGIN
        DELETE FROM @ids;
        INSERT INTO @ids (AlertId, Recipients)
        SELECT TOP (100) a.AlertId, (SELECT COUNT(*) FROM sendport.Recipient r WHERE r.AlertId = a.AlertId)
        FROM sendport.AlertRow a WITH (READPAST, READCOMMITTEDLOCK, INDEX (PK_AlertRow))
        WHERE a.AlertId > @last AND a.FinalAt IS NOT NULL AND a.LeaseToken IS NULL
          AND (@before IS NULL OR a.CreatedAt < @before)
          AND (@sent_status IS NULL
               OR CASE WHEN a.Status = N'relayed' THEN 'sent' ELSE 'failed' END = @sent_status COLLATE Latin1_General_CI_AS)
        ORDER BY a.AlertId;
        SET @taken = @@ROWCOUNT;
        SELECT @last = COALESCE(MAX(AlertId), @last) FROM @ids;
        -- A requeue refuses what has no body any more; what one requeued before stays.
        UPDATE a
        SET BodyPurgedAt = COALESCE(a.BodyPurgedAt, SYSUTCDATETIME())
        FROM sendport.AlertRow a JOIN @ids i ON i.AlertId = a.AlertId
        WHERE a.FinalAt IS NOT NULL AND a.LeaseToken IS NULL;
        DELETE FROM @ids
        WHERE AlertId NOT IN (SELECT a.AlertId FROM sendport.AlertRow a
                              WHERE a.AlertId IN (SELECT i.AlertId FROM @ids i)
                                AND a.FinalAt IS NOT NULL AND a.LeaseToken IS NULL AND a.BodyPurgedAt IS NOT NULL);
        SET @rows = 1000;
        WHILE @rows = 1000
        BEGIN
            DELETE TOP (1000) FROM sendport.AttemptReply
            WHERE AttemptId IN (SELECT t.AttemptId FROM sendport.Attempt t WHERE t.AlertId IN (SELECT i.AlertId FROM @ids i));
            SET @rows = @@ROWCOUNT;
        END;
        SET @rows = 1000;
        WHILE @rows = 1000
        BEGIN
            DELETE TOP (1000) FROM sendport.Attempt WHERE AlertId IN (SELECT i.AlertId FROM @ids i);
            SET @rows = @@ROWCOUNT;
        END;
        SET @rows = 1000;
        WHILE @rows = 1000
        BEGIN
            DELETE TOP (1000) FROM sendport.Recipient WHERE AlertId IN (SELECT i.AlertId FROM @ids i);
            SET @rows = @@ROWCOUNT;
        END;
        SET @rows = 1000;
        WHILE @rows = 1000
        BEGIN
            DELETE TOP (1000) FROM sendport.AttachmentRow WHERE AlertId IN (SELECT i.AlertId FROM @ids i);
            SET @rows = @@ROWCOUNT;
        END;
        DELETE FROM sendport.FailureNotification WHERE AlertId IN (SELECT i.AlertId FROM @ids i);
        SET @rows = 1000;
        WHILE @rows = 1000
        BEGIN
            DELETE TOP (1000) FROM sendport.EarlierRequest WHERE AlertId IN (SELECT i.AlertId FROM @ids i);
            SET @rows = @@ROWCOUNT;
        END;
        SET @rows = 1000;
        WHILE @rows = 1000
        BEGIN
            DELETE TOP (1000) FROM sendport.DeliveryReport WHERE AlertId IN (SELECT i.AlertId FROM @ids i);
            SET @rows = @@ROWCOUNT;
        END;
        SET @rows = 1000;
        WHILE @rows = 1000
        BEGIN
            DELETE TOP (1000) FROM sendport.RecipientFeedback WHERE AlertId IN (SELECT i.AlertId FROM @ids i);
            SET @rows = @@ROWCOUNT;
        END;
        SET @rows = 1000;
        WHILE @rows = 1000
        BEGIN
            DELETE TOP (1000) FROM sendport.Feedback WHERE AlertId IN (SELECT i.AlertId FROM @ids i);
            SET @rows = @@ROWCOUNT;
        END;
        DELETE FROM sendport.DatabaseMailItem WHERE AlertId IN (SELECT i.AlertId FROM @ids i);
        DELETE FROM @days;
        BEGIN TRANSACTION;
        -- Retention locks this row, too: what it has deleted meanwhile is counted already.
        UPDATE sendport.RetentionState SET UpdatedAt = UpdatedAt WHERE RetentionStateId = 1;
        INSERT INTO @days ([Day], SendPort, Status, Alerts, Recipients)
        SELECT CONVERT(date, a.FinalAt), a.SendPort, a.Status, COUNT(*), SUM(i.Recipients)
        FROM @ids i JOIN sendport.AlertRow a ON a.AlertId = i.AlertId
        GROUP BY CONVERT(date, a.FinalAt), a.SendPort, a.Status;
        UPDATE d SET AlertCount = d.AlertCount + n.Alerts, RecipientCount = d.RecipientCount + n.Recipients
        FROM sendport.DailyCount d JOIN @days n ON n.[Day] = d.[Day] AND n.SendPort = d.SendPort AND n.Status = d.Status;
        INSERT INTO sendport.DailyCount ([Day], SendPort, Status, AlertCount, RecipientCount)
        SELECT n.[Day], n.SendPort, n.Status, n.Alerts, n.Recipients
        FROM @days n
        WHERE NOT EXISTS (SELECT 1 FROM sendport.DailyCount d
                          WHERE d.[Day] = n.[Day] AND d.SendPort = n.SendPort AND d.Status = n.Status);
        DELETE FROM sendport.AlertRow WHERE AlertId IN (SELECT i.AlertId FROM @ids i);
        SET @deleted = @deleted + @@ROWCOUNT;
        COMMIT TRANSACTION;
    END;
    INSERT INTO sendport.EventLog (Severity, EventType, Message)
    VALUES (N'information', N'mail-items-deleted', CONCAT(N'Mail items deletion is initiated by user "', SUSER_SNAME(), N'". ', @deleted,
            N' items deleted.'));
    RETURN 0;
END;
GO
-- Deletes rows of EventLog; the failures of alerts go with their alerts.
CREATE PROCEDURE sendport.sysmail_delete_log_sp
    @logged_before datetime = NULL,
    @event_type varchar(15) = NULL
AS
BEGIN
    SET NOCOUNT ON;
    DECLARE @before datetime2(3) = DATEADD(minute, DATEDIFF(minute, GETDATE(), GETUTCDATE()), @logged_before),
            @rows int = 1000, @deleted bigint = 0;
    IF @@TRANCOUNT > 0
    BEGIN
        EXEC sendport.RefuseInTransaction N'sysmail_delete_log_sp';
        RETURN 1;
    END;
    IF @event_type COLLATE Latin1_General_CI_AS NOT IN ('success', 'warning', 'error', 'informational', 'information')
    BEGIN
        RAISERROR (N'Parameter @event_type does not support the value ''%s''. Expected success, warning, error or informational.', 16, 1, @event_type);
        RETURN 1;
    END;
    WHILE @rows = 1000
    BEGIN
        DELETE TOP (1000) FROM sendport.EventLog
        WHERE (@before IS NULL OR LoggedAt < @before)
          AND (@event_type IS NULL
               OR Severity COLLATE Latin1_General_CI_AS = REPLACE(@event_type, 'informational', 'information') COLLATE Latin1_General_CI_AS);
        SET @rows = @@ROWCOUNT;
        SET @deleted = @deleted + @rows;
    END;
    INSERT INTO sendport.EventLog (Severity, EventType, Message)
    VALUES (N'information', N'mail-log-deleted', CONCAT(N'Log deletion is initiated by user "', SUSER_SNAME(), N'". ', @deleted,
            N' events deleted.'));
    RETURN 0;
END;
GO
-- The alerts that wait, and the outcomes that instances could not record yet. Nobody records when the queue was last
-- empty. Times are UTC, as Database Mail's are here.
CREATE PROCEDURE sendport.sysmail_help_queue_sp @queue_type nvarchar(6) = NULL AS
BEGIN
    SET NOCOUNT ON;
    DECLARE @state nvarchar(64) = N'INACTIVE', @activated datetime, @waiting int, @unrecorded int;
    IF @queue_type COLLATE Latin1_General_CI_AS NOT IN (N'mail', N'status')
    BEGIN
        RAISERROR (N'Parameter @queue_type does not support the value ''%s''. Expected mail or status.', 16, 1, @queue_type);
        RETURN 1;
    END;
    SELECT @activated = MAX(StartedAt), @unrecorded = COALESCE(SUM(UnrecordedCount), 0)
    FROM sendport.Instance WITH (READUNCOMMITTED);
    IF EXISTS (SELECT 1 FROM sendport.Instance WITH (READUNCOMMITTED) WHERE StoppedAt IS NULL AND LeaseUntil > SYSUTCDATETIME())
        SET @state = N'RECEIVES_OCCURRING';
    SELECT @waiting = COUNT(*) FROM sendport.AlertRow WITH (READUNCOMMITTED)
    WHERE Status IN (N'queued', N'sending', N'delayed', N'held');
    SELECT q.queue_type, CASE q.queue_type WHEN N'mail' THEN @waiting ELSE @unrecorded END AS length, @state AS state,
           CAST(NULL AS datetime) AS last_empty_rowset_time, @activated AS last_activated_time
    FROM (SELECT CAST(N'mail' AS nvarchar(6)) AS queue_type UNION ALL SELECT N'status') q
    WHERE @queue_type IS NULL OR q.queue_type = @queue_type COLLATE Latin1_General_CI_AS;
    RETURN 0;
END;
GO
-- The holds of sysmail_stop_sp that sysmail_start_sp has not ended.
CREATE VIEW sendport.MailHold AS
SELECT h.RequestId, h.SendPort
FROM sendport.OperatorRequest h WITH (READUNCOMMITTED)
WHERE h.State = N'open' AND h.Verb = N'hold' AND h.Comment = N'sysmail_stop_sp'
  AND NOT EXISTS (SELECT 1 FROM sendport.OperatorRequest r WITH (READUNCOMMITTED)
                  WHERE r.Verb = N'release' AND r.HoldRequestId = h.RequestId);
GO
-- Holds every send port: alerts are accepted, and wait.
CREATE PROCEDURE sendport.sysmail_stop_sp AS
BEGIN
    SET NOCOUNT ON;
    INSERT INTO sendport.OperatorRequest (Verb, SendPort, Comment)
    SELECT N'hold', p.Name, N'sysmail_stop_sp'
    FROM sendport.SendPort p
    WHERE NOT EXISTS (SELECT 1 FROM sendport.MailHold h WHERE h.SendPort = p.Name);
    RETURN 0;
END;
GO
CREATE PROCEDURE sendport.sysmail_start_sp AS
BEGIN
    SET NOCOUNT ON;
    INSERT INTO sendport.OperatorRequest (Verb, HoldRequestId, Comment)
    SELECT N'release', h.RequestId, N'sysmail_start_sp' FROM sendport.MailHold h;
    RETURN 0;
END;
GO
CREATE PROCEDURE sendport.sysmail_help_status_sp AS
BEGIN
    SET NOCOUNT ON;
    SELECT CAST(CASE WHEN EXISTS (SELECT 1 FROM sendport.MailHold) THEN N'STOPPED' ELSE N'STARTED' END AS nvarchar(7)) AS Status;
    RETURN 0;
END;
GO

-- ==== Roles ====
GO

-- The service.
CREATE ROLE sendport_service;
GO
-- Applications: they insert alerts and see their own.
CREATE ROLE sendport_writer;
GO
-- Operators: they see everything but audit copies.
CREATE ROLE sendport_reader;
GO
-- Operators that cancel, hold, release, requeue and purge alerts. They see what readers see.
CREATE ROLE sendport_operator;
GO
ALTER ROLE sendport_reader ADD MEMBER sendport_operator;
GO
-- Readers of audit copies, which hold whole messages: not even the service reads them.
CREATE ROLE sendport_auditor;
GO
-- Importers of templates: they add versions, and change none.
CREATE ROLE sendport_template_author;
GO
-- Managers of certificates decide who can read encrypted messages: neither applications nor the service may.
CREATE ROLE sendport_certificate_manager;
GO

-- ==== Permissions ====
GO

GRANT INSERT ON sendport.Alert TO sendport_writer;
GRANT SELECT (AlertId, PublicId) ON sendport.Alert TO sendport_writer;
GRANT INSERT ON sendport.Attachment TO sendport_writer;
GRANT SELECT (AttachmentId, AlertId) ON sendport.Attachment TO sendport_writer;
GRANT SELECT ON sendport.MyAlertStatus TO sendport_writer;
GRANT SELECT ON sendport.MyDelivery TO sendport_writer;
GRANT SELECT ON sendport.ReplyExplanation TO sendport_writer;
GRANT EXECUTE ON sendport.sp_send_dbmail TO sendport_writer;
-- sp_send_dbmail calls it in dynamic SQL.
GRANT EXECUTE ON sendport.WrappedLines TO sendport_writer;
GRANT SELECT ON sendport.sysmail_allitems TO sendport_writer;
GRANT SELECT ON sendport.sysmail_event_log TO sendport_writer;
GRANT SELECT ON sendport.sysmail_faileditems TO sendport_writer;
GRANT SELECT ON sendport.sysmail_mailattachments TO sendport_writer;
GRANT SELECT ON sendport.sysmail_profile TO sendport_writer;
GRANT SELECT ON sendport.sysmail_sentitems TO sendport_writer;
GRANT SELECT ON sendport.sysmail_unsentitems TO sendport_writer;
GO
GRANT SELECT ON sendport.Alert TO sendport_reader;
GRANT SELECT ON sendport.AlertExplanation TO sendport_reader;
GRANT SELECT ON sendport.AlertRow TO sendport_reader;
GRANT SELECT ON sendport.AlertStatus TO sendport_reader;
GRANT SELECT ON sendport.AttachmentRow TO sendport_reader;
GRANT SELECT ON sendport.Attempt TO sendport_reader;
GRANT SELECT ON sendport.AttemptReply TO sendport_reader;
GRANT SELECT ON sendport.Certificate TO sendport_reader;
GRANT SELECT ON sendport.CertificateNotification TO sendport_reader;
GRANT SELECT ON sendport.CurrentTemplate TO sendport_reader;
GRANT SELECT ON sendport.DailyCount TO sendport_reader;
GRANT SELECT ON sendport.DatabaseMailItem TO sendport_reader;
GRANT SELECT ON sendport.Delivery TO sendport_reader;
GRANT SELECT ON sendport.DeliveryReport TO sendport_reader;
GRANT SELECT ON sendport.EarlierRequest TO sendport_reader;
GRANT SELECT ON sendport.Feedback TO sendport_reader;
GRANT SELECT ON sendport.RecipientFeedback TO sendport_reader;
GRANT SELECT ON sendport.Environment TO sendport_reader;
GRANT SELECT ON sendport.EventLog TO sendport_reader;
GRANT SELECT ON sendport.ExpiringCertificate TO sendport_reader;
GRANT SELECT ON sendport.FailedDelivery TO sendport_reader;
GRANT SELECT ON sendport.FailureByCause TO sendport_reader;
GRANT SELECT ON sendport.FailureNotification TO sendport_reader;
GRANT SELECT ON sendport.InDoubt TO sendport_reader;
GRANT SELECT ON sendport.Instance TO sendport_reader;
GRANT SELECT ON sendport.InstanceStatus TO sendport_reader;
GRANT SELECT ON sendport.LatencyByHour TO sendport_reader;
GRANT SELECT ON sendport.LatencyByMinute TO sendport_reader;
GRANT SELECT ON sendport.MinuteCount TO sendport_reader;
GRANT SELECT ON sendport.MinuteLatency TO sendport_reader;
GRANT SELECT ON sendport.OperatorRequest TO sendport_reader;
GRANT SELECT ON sendport.Queue TO sendport_reader;
GRANT SELECT ON sendport.ReceivedContent TO sendport_reader;
GRANT SELECT ON sendport.ReceivedMessage TO sendport_reader;
GRANT SELECT ON sendport.Recipient TO sendport_reader;
GRANT SELECT ON sendport.Relay TO sendport_reader;
GRANT SELECT ON sendport.RelayAuthentication TO sendport_reader;
GRANT SELECT ON sendport.RelayState TO sendport_reader;
GRANT SELECT ON sendport.ReplyExplanation TO sendport_reader;
GRANT SELECT ON sendport.RetentionProgress TO sendport_reader;
GRANT SELECT ON sendport.SchemaVersion TO sendport_reader;
GRANT SELECT ON sendport.SendPort TO sendport_reader;
GRANT SELECT ON sendport.SendPortRelay TO sendport_reader;
GRANT SELECT ON sendport.sysmail_allitems TO sendport_reader;
GRANT SELECT ON sendport.sysmail_event_log TO sendport_reader;
GRANT SELECT ON sendport.sysmail_faileditems TO sendport_reader;
GRANT SELECT ON sendport.sysmail_mailattachments TO sendport_reader;
GRANT SELECT ON sendport.sysmail_profile TO sendport_reader;
GRANT SELECT ON sendport.sysmail_sentitems TO sendport_reader;
GRANT SELECT ON sendport.sysmail_unsentitems TO sendport_reader;
GRANT SELECT ON sendport.Template TO sendport_reader;
GRANT SELECT ON sendport.TemplateChange TO sendport_reader;
GRANT SELECT ON sendport.ThroughputByHour TO sendport_reader;
GRANT SELECT ON sendport.ThroughputByMinute TO sendport_reader;
GRANT EXECUTE ON sendport.Why TO sendport_reader;
GO
GRANT EXECUTE ON sendport.Cancel TO sendport_operator;
GRANT EXECUTE ON sendport.Hold TO sendport_operator;
GRANT EXECUTE ON sendport.Purge TO sendport_operator;
GRANT EXECUTE ON sendport.Redirect TO sendport_operator;
GRANT EXECUTE ON sendport.Release TO sendport_operator;
GRANT EXECUTE ON sendport.Requeue TO sendport_operator;
GRANT EXECUTE ON sendport.TestMail TO sendport_operator;
GO
GRANT SELECT, INSERT ON sendport.Alert TO sendport_service;
GRANT SELECT ON sendport.AlertExplanation TO sendport_service;
GRANT SELECT, UPDATE, DELETE ON sendport.AlertRow TO sendport_service;
GRANT SELECT ON sendport.AlertStatus TO sendport_service;
GRANT SELECT, INSERT ON sendport.Attachment TO sendport_service;
GRANT SELECT, INSERT, DELETE ON sendport.AttachmentRow TO sendport_service;
GRANT SELECT, INSERT, UPDATE, DELETE ON sendport.Attempt TO sendport_service;
GRANT SELECT, INSERT, UPDATE, DELETE ON sendport.AttemptReply TO sendport_service;
GRANT INSERT ON sendport.AuditCopy TO sendport_service;
GRANT SELECT ON sendport.Certificate TO sendport_service;
GRANT SELECT, INSERT, DELETE ON sendport.CertificateNotification TO sendport_service;
GRANT SELECT ON sendport.CurrentTemplate TO sendport_service;
GRANT SELECT, INSERT, UPDATE, DELETE ON sendport.DailyCount TO sendport_service;
GRANT SELECT, DELETE ON sendport.DatabaseMailItem TO sendport_service;
GRANT SELECT ON sendport.Delivery TO sendport_service;
GRANT SELECT, INSERT, DELETE ON sendport.DeliveryReport TO sendport_service;
GRANT SELECT, INSERT, DELETE ON sendport.Feedback TO sendport_service;
GRANT SELECT, INSERT, UPDATE, DELETE ON sendport.RecipientFeedback TO sendport_service;
GRANT SELECT, INSERT, UPDATE ON sendport.Environment TO sendport_service;
GRANT SELECT, INSERT, DELETE ON sendport.EarlierRequest TO sendport_service;
GRANT SELECT, INSERT, UPDATE, DELETE ON sendport.EventLog TO sendport_service;
GRANT SELECT ON sendport.ExpiringCertificate TO sendport_service;
GRANT SELECT ON sendport.FailedDelivery TO sendport_service;
GRANT SELECT, INSERT, UPDATE, DELETE ON sendport.FailureNotification TO sendport_service;
GRANT SELECT ON sendport.InDoubt TO sendport_service;
GRANT SELECT, INSERT, UPDATE, DELETE ON sendport.Instance TO sendport_service;
GRANT SELECT, INSERT, UPDATE, DELETE ON sendport.MinuteCount TO sendport_service;
GRANT SELECT, INSERT, UPDATE, DELETE ON sendport.MinuteLatency TO sendport_service;
GRANT SELECT, INSERT, UPDATE ON sendport.OperatorRequest TO sendport_service;
GRANT SELECT ON sendport.Queue TO sendport_service;
GRANT SELECT, INSERT, DELETE ON sendport.ReceivedContent TO sendport_service;
GRANT SELECT, INSERT, DELETE ON sendport.ReceivedMessage TO sendport_service;
GRANT SELECT, INSERT, UPDATE, DELETE ON sendport.Recipient TO sendport_service;
GRANT SELECT ON sendport.Relay TO sendport_service;
GRANT SELECT, INSERT, UPDATE, DELETE ON sendport.RelayAuthentication TO sendport_service;
GRANT SELECT, INSERT, UPDATE, DELETE ON sendport.RelayState TO sendport_service;
GRANT SELECT, INSERT, UPDATE, DELETE ON sendport.ReplyExplanation TO sendport_service;
GRANT SELECT ON sendport.RetentionProgress TO sendport_service;
GRANT SELECT, INSERT, UPDATE ON sendport.RetentionState TO sendport_service;
GRANT SELECT, INSERT, UPDATE ON sendport.RollupState TO sendport_service;
GRANT SELECT, INSERT, DELETE ON sendport.MinuteRecount TO sendport_service;
GRANT SELECT ON sendport.SchemaVersion TO sendport_service;
GRANT SELECT, INSERT, UPDATE, DELETE ON sendport.SendPort TO sendport_service;
GRANT SELECT, INSERT, UPDATE, DELETE ON sendport.SendPortRelay TO sendport_service;
GRANT SELECT ON sendport.Template TO sendport_service;
GRANT SELECT ON sendport.TemplateChange TO sendport_service;
GO
GRANT SELECT ON sendport.AuditCopy TO sendport_auditor;
GO
GRANT SELECT, INSERT ON sendport.Template TO sendport_template_author;
GRANT SELECT, INSERT ON sendport.TemplateChange TO sendport_template_author;
GRANT SELECT ON sendport.CurrentTemplate TO sendport_template_author;
GRANT SELECT ON sendport.SchemaVersion TO sendport_template_author;
GO
GRANT SELECT, INSERT, UPDATE, DELETE ON sendport.Certificate TO sendport_certificate_manager;
GRANT SELECT ON sendport.ExpiringCertificate TO sendport_certificate_manager;
-- To log each removal and revocation with its user.
GRANT INSERT ON sendport.EventLog TO sendport_certificate_manager;
GRANT SELECT ON sendport.SchemaVersion TO sendport_certificate_manager;
GO
-- Babelfish has no permissions on types, and checks those on the table behind one. It knows a table-valued
-- function as a function alone, and checks SELECT on the table that it returns. It looks up a foreign key as the
-- inserting user, with a lock that needs UPDATE; the trigger refuses updates all the same.
IF SERVERPROPERTY(N'Babelfish') IS NULL
BEGIN
    EXEC (N'GRANT EXECUTE ON TYPE::sendport.OutcomeList TO sendport_service');
    EXEC (N'GRANT EXECUTE ON TYPE::sendport.RecipientList TO sendport_service');
    EXEC (N'GRANT EXECUTE ON TYPE::sendport.ReplyList TO sendport_service');
    EXEC (N'GRANT SELECT ON sendport.FixedRoleMembers TO sendport_service');
    EXEC (N'GRANT SELECT ON sendport.MyAlerts TO sendport_writer');
    EXEC (N'GRANT SELECT ON sendport.MyDeliveries TO sendport_writer');
END
ELSE
BEGIN
    EXEC (N'GRANT SELECT ON sendport.OutcomeList TO sendport_service');
    EXEC (N'GRANT SELECT ON sendport.RecipientList TO sendport_service');
    EXEC (N'GRANT SELECT ON sendport.ReplyList TO sendport_service');
    EXEC (N'GRANT EXECUTE ON sendport.AddRequest TO sendport_operator');
    EXEC (N'GRANT INSERT ON sendport.OperatorRequest TO sendport_operator');
    EXEC (N'GRANT INSERT ON sendport.Alert TO sendport_operator');
    EXEC (N'GRANT EXECUTE ON sendport.FixedRoleMembers TO sendport_service');
    EXEC (N'GRANT SELECT ON sendport.FixedRoleMember TO sendport_service');
    EXEC (N'GRANT SELECT ON sendport.[@members_FixedRoleMembers] TO sendport_service');
    EXEC (N'GRANT EXECUTE ON sendport.MyAlerts TO sendport_writer');
    EXEC (N'GRANT EXECUTE ON sendport.MyDeliveries TO sendport_writer');
    EXEC (N'GRANT EXECUTE ON sendport.MailOfAll TO sendport_reader');
    EXEC (N'GRANT EXECUTE ON sendport.MailOfAll TO sendport_writer');
    EXEC (N'GRANT EXECUTE ON sendport.MyMailAttachments TO sendport_reader');
    EXEC (N'GRANT EXECUTE ON sendport.MyMailAttachments TO sendport_writer');
    EXEC (N'GRANT EXECUTE ON sendport.MyMailEvents TO sendport_reader');
    EXEC (N'GRANT EXECUTE ON sendport.MyMailEvents TO sendport_writer');
    EXEC (N'GRANT EXECUTE ON sendport.MyMailItems TO sendport_reader');
    EXEC (N'GRANT EXECUTE ON sendport.MyMailItems TO sendport_writer');
    EXEC (N'GRANT EXECUTE ON sendport.RaiseDatabaseMailError TO sendport_writer');
    EXEC (N'GRANT EXECUTE ON sendport.RunMailQuery TO sendport_writer');
    EXEC (N'GRANT EXECUTE ON sendport.Utf16File TO sendport_writer');
    EXEC (N'GRANT SELECT ON sendport.[@allowed_MailOfAll] TO sendport_reader');
    EXEC (N'GRANT SELECT ON sendport.[@allowed_MailOfAll] TO sendport_writer');
    EXEC (N'GRANT SELECT ON sendport.[@own_MyMailAttachments] TO sendport_reader');
    EXEC (N'GRANT SELECT ON sendport.[@own_MyMailAttachments] TO sendport_writer');
    EXEC (N'GRANT SELECT ON sendport.[@own_MyMailEvents] TO sendport_reader');
    EXEC (N'GRANT SELECT ON sendport.[@own_MyMailEvents] TO sendport_writer');
    EXEC (N'GRANT SELECT ON sendport.[@own_MyMailItems] TO sendport_reader');
    EXEC (N'GRANT SELECT ON sendport.[@own_MyMailItems] TO sendport_writer');
    EXEC (N'GRANT SELECT ON sendport.MailAttachment TO sendport_reader');
    EXEC (N'GRANT SELECT ON sendport.MailEvent TO sendport_reader');
    EXEC (N'GRANT SELECT ON sendport.MailItem TO sendport_reader');
    EXEC (N'GRANT SELECT ON sendport.OwnMailAttachment TO sendport_writer');
    EXEC (N'GRANT SELECT ON sendport.OwnMailEvent TO sendport_writer');
    EXEC (N'GRANT SELECT ON sendport.OwnMailItem TO sendport_writer');
    EXEC (N'GRANT INSERT ON sendport.DatabaseMailItem TO sendport_writer');
    EXEC (N'GRANT SELECT ON sendport.[@own_MyAlerts] TO sendport_writer');
    EXEC (N'GRANT SELECT ON sendport.[@own_MyDeliveries] TO sendport_writer');
    EXEC (N'GRANT SELECT ON sendport.OwnAlertStatus TO sendport_writer');
    EXEC (N'GRANT SELECT ON sendport.OwnDelivery TO sendport_writer');
    EXEC (N'GRANT UPDATE ON sendport.TemplateChange TO sendport_template_author');
END;
GO
-- A writer that is also a member of db_datareader or db_datawriter, as application logins often are, would bypass
-- all of the above: it is denied everything that is not its own, and so is a writer that has another role of this
-- schema. The views for writers need no permission on what they read. Babelfish has no DENY.
IF SERVERPROPERTY(N'Babelfish') IS NULL
BEGIN
    EXEC (N'DENY SELECT (ToRecipients, CcRecipients, BccRecipients, FromAddress, ReplyTo, Subject, Body, BodyFormat,
        Template, Payload, Language, AlertName, Severity, Source, Reference, SendPort, Priority, Importance,
        Sensitivity, Headers, DeliveryReceipt, ReadReceipt, ReplyBy, Protection, DedupKey, NotBefore, ExpiresAt,
        FileAttachments, CreatedAt, CreatedBy) ON sendport.Alert TO sendport_writer;
DENY UPDATE, DELETE ON sendport.Alert TO sendport_writer;
DENY SELECT (FileName, MediaType, Content, Disposition, ContentId, Description, TransferEncoding)
    ON sendport.Attachment TO sendport_writer;
DENY UPDATE, DELETE ON sendport.Attachment TO sendport_writer;
DENY INSERT, UPDATE, DELETE ON sendport.ReplyExplanation TO sendport_writer;
DENY SELECT, INSERT, UPDATE, DELETE ON sendport.AlertExplanation TO sendport_writer;
DENY SELECT, INSERT, UPDATE, DELETE ON sendport.AlertRow TO sendport_writer;
DENY SELECT, INSERT, UPDATE, DELETE ON sendport.AlertStatus TO sendport_writer;
DENY SELECT, INSERT, UPDATE, DELETE ON sendport.AttachmentRow TO sendport_writer;
DENY SELECT, INSERT, UPDATE, DELETE ON sendport.Attempt TO sendport_writer;
DENY SELECT, INSERT, UPDATE, DELETE ON sendport.AttemptReply TO sendport_writer;
DENY SELECT, INSERT, UPDATE, DELETE ON sendport.AuditCopy TO sendport_writer;
DENY SELECT, INSERT, UPDATE, DELETE ON sendport.Certificate TO sendport_writer;
DENY SELECT, INSERT, UPDATE, DELETE ON sendport.CertificateNotification TO sendport_writer;
DENY SELECT, INSERT, UPDATE, DELETE ON sendport.CurrentTemplate TO sendport_writer;
DENY SELECT, INSERT, UPDATE, DELETE ON sendport.DailyCount TO sendport_writer;
DENY SELECT, INSERT, UPDATE, DELETE ON sendport.DatabaseMailItem TO sendport_writer;
DENY SELECT, INSERT, UPDATE, DELETE ON sendport.Delivery TO sendport_writer;
DENY SELECT, INSERT, UPDATE, DELETE ON sendport.DeliveryReport TO sendport_writer;
DENY SELECT, INSERT, UPDATE, DELETE ON sendport.Feedback TO sendport_writer;
DENY SELECT, INSERT, UPDATE, DELETE ON sendport.RecipientFeedback TO sendport_writer;
DENY SELECT, INSERT, UPDATE, DELETE ON sendport.Environment TO sendport_writer;
DENY SELECT, INSERT, UPDATE, DELETE ON sendport.EarlierRequest TO sendport_writer;
DENY SELECT, INSERT, UPDATE, DELETE ON sendport.EventLog TO sendport_writer;
DENY SELECT, INSERT, UPDATE, DELETE ON sendport.ExpiringCertificate TO sendport_writer;
DENY SELECT, INSERT, UPDATE, DELETE ON sendport.FailedDelivery TO sendport_writer;
DENY SELECT, INSERT, UPDATE, DELETE ON sendport.FailureByCause TO sendport_writer;
DENY SELECT, INSERT, UPDATE, DELETE ON sendport.FailureNotification TO sendport_writer;
DENY SELECT, INSERT, UPDATE, DELETE ON sendport.FixedRoleMember TO sendport_writer;
DENY SELECT, INSERT, UPDATE, DELETE ON sendport.InDoubt TO sendport_writer;
DENY SELECT, INSERT, UPDATE, DELETE ON sendport.Instance TO sendport_writer;
DENY SELECT, INSERT, UPDATE, DELETE ON sendport.InstanceStatus TO sendport_writer;
DENY SELECT, INSERT, UPDATE, DELETE ON sendport.LatencyByHour TO sendport_writer;
DENY SELECT, INSERT, UPDATE, DELETE ON sendport.LatencyByMinute TO sendport_writer;
DENY SELECT, INSERT, UPDATE, DELETE ON sendport.MailAttachment TO sendport_writer;
DENY SELECT, INSERT, UPDATE, DELETE ON sendport.MailEvent TO sendport_writer;
DENY SELECT, INSERT, UPDATE, DELETE ON sendport.MailHold TO sendport_writer;
DENY SELECT, INSERT, UPDATE, DELETE ON sendport.MailItem TO sendport_writer;
DENY SELECT, INSERT, UPDATE, DELETE ON sendport.MinuteCount TO sendport_writer;
DENY SELECT, INSERT, UPDATE, DELETE ON sendport.MinuteLatency TO sendport_writer;
DENY SELECT, INSERT, UPDATE, DELETE ON sendport.OperatorRequest TO sendport_writer;
DENY SELECT, INSERT, UPDATE, DELETE ON sendport.OwnAlertStatus TO sendport_writer;
DENY SELECT, INSERT, UPDATE, DELETE ON sendport.OwnDelivery TO sendport_writer;
DENY SELECT, INSERT, UPDATE, DELETE ON sendport.OwnMailAttachment TO sendport_writer;
DENY SELECT, INSERT, UPDATE, DELETE ON sendport.OwnMailEvent TO sendport_writer;
DENY SELECT, INSERT, UPDATE, DELETE ON sendport.OwnMailItem TO sendport_writer;
DENY SELECT, INSERT, UPDATE, DELETE ON sendport.Queue TO sendport_writer;
DENY SELECT, INSERT, UPDATE, DELETE ON sendport.ReceivedContent TO sendport_writer;
DENY SELECT, INSERT, UPDATE, DELETE ON sendport.ReceivedMessage TO sendport_writer;
DENY SELECT, INSERT, UPDATE, DELETE ON sendport.Recipient TO sendport_writer;
DENY SELECT, INSERT, UPDATE, DELETE ON sendport.Relay TO sendport_writer;
DENY SELECT, INSERT, UPDATE, DELETE ON sendport.RelayAuthentication TO sendport_writer;
DENY SELECT, INSERT, UPDATE, DELETE ON sendport.RelayState TO sendport_writer;
DENY SELECT, INSERT, UPDATE, DELETE ON sendport.RetentionProgress TO sendport_writer;
DENY SELECT, INSERT, UPDATE, DELETE ON sendport.RetentionState TO sendport_writer;
DENY SELECT, INSERT, UPDATE, DELETE ON sendport.RollupState TO sendport_writer;
DENY SELECT, INSERT, UPDATE, DELETE ON sendport.MinuteRecount TO sendport_writer;
DENY SELECT, INSERT, UPDATE, DELETE ON sendport.SchemaVersion TO sendport_writer;
DENY SELECT, INSERT, UPDATE, DELETE ON sendport.SendPort TO sendport_writer;
DENY SELECT, INSERT, UPDATE, DELETE ON sendport.SendPortRelay TO sendport_writer;
DENY SELECT, INSERT, UPDATE, DELETE ON sendport.Template TO sendport_writer;
DENY SELECT, INSERT, UPDATE, DELETE ON sendport.TemplateChange TO sendport_writer;
DENY SELECT, INSERT, UPDATE, DELETE ON sendport.ThroughputByHour TO sendport_writer;
DENY SELECT, INSERT, UPDATE, DELETE ON sendport.ThroughputByMinute TO sendport_writer');
END;
GO
