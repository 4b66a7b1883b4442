-- The schema of sendport on SQLite: the names and the life of an alert are those of SQL Server, where all tables
-- are in the schema "sendport".
--
-- Times are text of exactly one form, YYYY-MM-DDTHH:MM:SS.sssZ (UTC), so that they sort:
--   strftime('%Y-%m-%dT%H:%M:%fZ', 'now', '+1 hour')
-- A time that people write is checked: GLOB for the form, and date() for a day and an hour that the calendar has.
--
-- Names and keys are compared without trailing blanks (COLLATE RTRIM), as SQL Server does it.

-- ==== Tables: alerts and their results ====

-- One row per alert: what the application asks for. Applications insert here; three columns are enough.
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
    -- Files that the service reads itself: absolute paths, separated by ';'.
    FileAttachments TEXT,
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
        '[0-9][0-9][0-9][0-9]-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9].[0-9][0-9][0-9]Z'
        AND date(ReplyBy, '+0 days') IS substr(ReplyBy, 1, 10)),
    CONSTRAINT CK_Alert_NotBefore_like_2026_01_31T12_00_00_000Z CHECK (NotBefore GLOB
        '[0-9][0-9][0-9][0-9]-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9].[0-9][0-9][0-9]Z'
        AND date(NotBefore, '+0 days') IS substr(NotBefore, 1, 10)),
    CONSTRAINT CK_Alert_ExpiresAt_like_2026_01_31T12_00_00_000Z CHECK (ExpiresAt GLOB
        '[0-9][0-9][0-9][0-9]-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9].[0-9][0-9][0-9]Z'
        AND date(ExpiresAt, '+0 days') IS substr(ExpiresAt, 1, 10)),
    CONSTRAINT CK_Alert_CreatedAt_like_2026_01_31T12_00_00_000Z CHECK (CreatedAt GLOB
        '[0-9][0-9][0-9][0-9]-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9].[0-9][0-9][0-9]Z'
        AND date(CreatedAt, '+0 days') IS substr(CreatedAt, 1, 10))
) STRICT;

CREATE INDEX IX_Alert_Reference ON Alert (Reference) WHERE Reference IS NOT NULL;

-- What the service knows of an alert, in a table of its own: a change of status never rewrites a body.
CREATE TABLE AlertState (
    AlertId         INTEGER PRIMARY KEY REFERENCES Alert (AlertId) ON DELETE CASCADE,
    SendPort        TEXT COLLATE RTRIM NOT NULL,
    Priority        TEXT COLLATE RTRIM NOT NULL,
    Status          TEXT NOT NULL DEFAULT 'queued',
    StatusAt        TEXT NOT NULL,
    StatusReason    TEXT,
    -- What kind of reason it is, where the service acts on it; written with StatusReason.
    StatusReasonCode TEXT,
    -- The service claims an alert when DueAt <= now. NULL while it is leased, while it is held, and once it is
    -- final.
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
    -- 'digest': inserted by the service to report failures. 'report': the service reports to the sender of a submitted
    -- message. The others: a program submitted the whole message (table ReceivedMessage). Applications cannot write it.
    Origin          TEXT NOT NULL DEFAULT 'application',
    -- When the service stored the files that FileAttachments names as rows of Attachment.
    FilesStoredAt   TEXT,
    -- The latest requeue: the age counts from then on, or from a later NotBefore, and an ExpiresAt before it no longer
    -- counts.
    RequeuedAt      TEXT,
    -- AttemptCount at that time: the attempts of the send port's retry are counted from there.
    AttemptsBefore  INTEGER NOT NULL DEFAULT 0,
    -- How often a requeue asked for a new Message-ID.
    MessageGeneration INTEGER NOT NULL DEFAULT 0,
    -- The latest request of an operator that changed it (OperatorRequest); EarlierRequest has those before it.
    RequestId       INTEGER,
    -- When the service deleted Body, Payload, Headers and the attachments: such an alert is not sent again.
    BodyPurgedAt    TEXT,
    -- 1 when all attachments are gone, which are deleted some at a time: only then the row itself may be deleted.
    BodyPurged      INTEGER NOT NULL DEFAULT 0,
    CONSTRAINT CK_AlertState_Status CHECK (Status IN ('queued', 'sending', 'delayed', 'held', 'relayed',
        'partial', 'failed', 'expired', 'cancelled', 'suppressed')),
    CONSTRAINT CK_AlertState_StatusReasonCode CHECK (StatusReasonCode IN ('waiting', 'in-doubt', 'no-such-send-port',
        'operator-hold', 'cancelling')),
    CONSTRAINT CK_AlertState_DueAt CHECK (DueAt GLOB
        '[0-9][0-9][0-9][0-9]-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9].[0-9][0-9][0-9]Z'
        AND date(DueAt, '+0 days') IS substr(DueAt, 1, 10)),
    CONSTRAINT CK_AlertState_BodyPurged CHECK (BodyPurged IN (0, 1)),
    CONSTRAINT CK_AlertState_Origin CHECK (Origin IN ('application', 'digest', 'smtp', 'pickup', 'sendmail', 'report'))
) STRICT;

-- Each index covers only rows that are live, failed or final, so that a claim costs the same beside many finished rows.
CREATE INDEX IX_AlertState_Due ON AlertState (SendPort, Priority, DueAt) WHERE DueAt IS NOT NULL;
CREATE INDEX IX_AlertState_LeaseOwner ON AlertState (LeaseOwner) WHERE LeaseOwner IS NOT NULL;
CREATE INDEX IX_AlertState_Live ON AlertState (SendPort, Status, CreatedAt) WHERE FinalAt IS NULL;
CREATE INDEX IX_AlertState_Failed ON AlertState (Status, StatusAt) WHERE Status IN ('failed', 'expired');
CREATE INDEX IX_AlertState_ExpiresAt ON AlertState (ExpiresAt) WHERE ExpiresAt IS NOT NULL;
-- For the failure digest, retention and the counts of each minute.
CREATE INDEX IX_AlertState_FinalAt ON AlertState (Status, SendPort, BodyPurged, FinalAt) WHERE FinalAt IS NOT NULL;

CREATE TRIGGER TR_Alert_Insert AFTER INSERT ON Alert
BEGIN
    INSERT INTO AlertState (AlertId, SendPort, Priority, StatusAt, DueAt, ExpiresAt, CreatedAt)
    VALUES (NEW.AlertId, NEW.SendPort, NEW.Priority, NEW.CreatedAt,
            max(coalesce(NEW.NotBefore, NEW.CreatedAt), NEW.CreatedAt), NEW.ExpiresAt, NEW.CreatedAt);
END;

-- Every attempt sends the same alert, and its history stays true: an alert that was claimed cannot be changed. Its body
-- is deleted when BodyPurgedAt was set.
CREATE TRIGGER TR_Alert_Update BEFORE UPDATE ON Alert
WHEN NOT EXISTS (SELECT 1 FROM AlertState s
                 WHERE s.AlertId = OLD.AlertId
                   AND (s.Status = 'queued' AND s.AttemptCount = 0
                        OR s.BodyPurgedAt IS NOT NULL AND coalesce(OLD.Body, OLD.Payload, OLD.Headers) IS NOT NULL
                           AND coalesce(NEW.Body, NEW.Payload, NEW.Headers) IS NULL))
BEGIN
    SELECT RAISE(ABORT, 'an alert that was claimed cannot be changed: insert a new one');
END;

-- The service reads the copies of these columns that TR_Alert_Insert made.
CREATE TRIGGER TR_Alert_Update_Copied BEFORE UPDATE ON Alert
WHEN (NEW.AlertId, NEW.SendPort, NEW.Priority, NEW.NotBefore, NEW.ExpiresAt, NEW.CreatedAt)
    IS NOT (OLD.AlertId, OLD.SendPort, OLD.Priority, OLD.NotBefore, OLD.ExpiresAt, OLD.CreatedAt)
BEGIN
    SELECT RAISE(ABORT, 'AlertId, SendPort, Priority, NotBefore, ExpiresAt and CreatedAt count as they were inserted and cannot be changed: delete the alert and insert a new one');
END;

-- One row per file, inserted in the transaction that inserts the alert.
CREATE TABLE Attachment (
    AttachmentId     INTEGER PRIMARY KEY AUTOINCREMENT,
    AlertId          INTEGER NOT NULL REFERENCES Alert (AlertId) ON DELETE CASCADE,
    FileName         TEXT,
    MediaType        TEXT,
    Disposition      TEXT COLLATE RTRIM NOT NULL DEFAULT 'attachment',
    ContentId        TEXT COLLATE RTRIM,
    Description      TEXT,
    TransferEncoding TEXT COLLATE RTRIM NOT NULL DEFAULT 'base64',
    -- The last column, so that the others are read without it.
    Content          BLOB NOT NULL,
    CONSTRAINT CK_Attachment_Disposition_attachment_or_inline CHECK (lower(Disposition) COLLATE RTRIM IN ('attachment', 'inline')),
    CONSTRAINT "CK_Attachment_TransferEncoding_base64_quoted-printable_or_7bit" CHECK (lower(TransferEncoding) COLLATE RTRIM IN ('base64', 'quoted-printable', '7bit')),
    CONSTRAINT CK_Attachment_FileName_at_most_255_characters CHECK (length(FileName) <= 255),
    CONSTRAINT CK_Attachment_MediaType_at_most_255_characters CHECK (length(MediaType) <= 255),
    CONSTRAINT CK_Attachment_ContentId_at_most_255_characters CHECK (length(ContentId) <= 255),
    CONSTRAINT CK_Attachment_Description_at_most_400_characters CHECK (length(Description) <= 400)
) STRICT;

CREATE INDEX IX_Attachment_AlertId ON Attachment (AlertId);

-- Every attempt sends the same files: nothing is added to an alert that was claimed, but the files that it names,
-- which the service stores once.
CREATE TRIGGER TR_Attachment_Insert BEFORE INSERT ON Attachment
WHEN NOT EXISTS (SELECT 1 FROM AlertState s JOIN Alert a ON a.AlertId = s.AlertId
                 WHERE s.AlertId = NEW.AlertId
                   AND (s.Status = 'queued' AND s.AttemptCount = 0
                        OR s.Status = 'sending' AND s.FilesStoredAt IS NULL AND trim(a.FileAttachments, '; ') <> ''))
BEGIN
    SELECT RAISE(ABORT, 'an attachment needs an alert that waits for its first attempt: insert both in one transaction, the alert first');
END;

CREATE TRIGGER TR_Attachment_Update BEFORE UPDATE ON Attachment
BEGIN
    SELECT RAISE(ABORT, 'an attachment cannot be changed: insert a new alert');
END;

-- A file is deleted with its alert, and not before the alert is final.
CREATE TRIGGER TR_Attachment_Delete BEFORE DELETE ON Attachment
WHEN EXISTS (SELECT 1 FROM Alert a JOIN AlertState s ON s.AlertId = a.AlertId
             WHERE a.AlertId = OLD.AlertId AND s.FinalAt IS NULL)
BEGIN
    SELECT RAISE(ABORT, 'an attachment of an alert that is not final cannot be deleted');
END;

-- How a message came in that a client submitted whole: one row per alert of the origin 'smtp', 'pickup', 'sendmail'
-- or 'report'.
CREATE TABLE ReceivedMessage (
    AlertId       INTEGER PRIMARY KEY REFERENCES Alert (AlertId) ON DELETE CASCADE,
    -- Empty for a report of the service.
    Intake        TEXT NOT NULL,
    ClientAddress TEXT,
    -- The name that the client gave itself in HELO or EHLO.
    HeloName      TEXT,
    -- The authenticated user, or the owner of the file.
    UserName      TEXT,
    -- Empty for the null reverse-path.
    ReversePath   TEXT NOT NULL,
    MessageId     TEXT NOT NULL,
    SizeBytes     INTEGER NOT NULL,
    -- BODY and SMTPUTF8 of MAIL (RFC 6152, RFC 6531).
    BodyType      TEXT NOT NULL,
    SmtpUtf8      INTEGER NOT NULL,
    -- ENVID and RET of MAIL (RFC 3461), and a JSON object with NOTIFY and ORCPT of those recipients that have them.
    EnvelopeId    TEXT,
    DsnReturn     TEXT,
    RecipientDsn  TEXT,
    -- From is one address that the client may use as its reverse-path, too: else nothing is signed for it.
    FromAllowed   INTEGER NOT NULL,
    CONSTRAINT CK_ReceivedMessage_FromAllowed CHECK (FromAllowed IN (0, 1)),
    CONSTRAINT CK_ReceivedMessage_BodyType CHECK (BodyType IN ('7bit', '8bitmime')),
    CONSTRAINT CK_ReceivedMessage_DsnReturn CHECK (DsnReturn IN ('headers', 'full')),
    CONSTRAINT CK_ReceivedMessage_SmtpUtf8 CHECK (SmtpUtf8 IN (0, 1))
) STRICT;

-- The octets of such a message, in pieces of at most 1 MiB. They are deleted when the body of another alert would be.
CREATE TABLE ReceivedContent (
    AlertId INTEGER NOT NULL REFERENCES ReceivedMessage (AlertId) ON DELETE CASCADE,
    Ordinal INTEGER NOT NULL,
    Content BLOB NOT NULL,
    PRIMARY KEY (AlertId, Ordinal)
) STRICT;

-- One row per recipient of an alert. The status of an alert follows from the statuses of its recipients.
CREATE TABLE Recipient (
    AlertId            INTEGER NOT NULL REFERENCES Alert (AlertId) ON DELETE CASCADE,
    Ordinal            INTEGER NOT NULL,
    Kind               TEXT NOT NULL,
    Address            TEXT NOT NULL,
    DisplayName        TEXT,
    Status             TEXT NOT NULL,
    StatusAt           TEXT NOT NULL,
    AttemptCount       INTEGER NOT NULL DEFAULT 0,
    -- The relay's reply that decided the status.
    Relay              TEXT,
    Command            TEXT,
    ReplyCode          INTEGER,
    EnhancedStatusCode TEXT,
    ReplyText          TEXT,
    ExplanationKey     TEXT,
    -- What an operator should know beside the reply, such as a receipt that the relay cannot ask for.
    Remark             TEXT,
    -- A requeue of all sends it again to a recipient whose relay had accepted it.
    WasRelayed         INTEGER NOT NULL DEFAULT 0,
    -- The one address that the last attempt went to instead, by a redirect of an operator.
    RedirectTo         TEXT,
    PRIMARY KEY (AlertId, Ordinal),
    CONSTRAINT CK_Recipient_Kind CHECK (Kind IN ('to', 'cc', 'bcc')),
    CONSTRAINT CK_Recipient_Status CHECK (Status IN ('queued', 'delayed', 'relayed', 'failed', 'expired',
        'cancelled', 'suppressed'))
) STRICT, WITHOUT ROWID;

CREATE INDEX IX_Recipient_Failed ON Recipient (Status, StatusAt) WHERE Status IN ('failed', 'expired');

-- One row per mail transaction, inserted once it has ended.
CREATE TABLE Attempt (
    AttemptId           INTEGER PRIMARY KEY AUTOINCREMENT,
    AttemptKey          TEXT NOT NULL,
    AlertId             INTEGER NOT NULL REFERENCES Alert (AlertId) ON DELETE CASCADE,
    AttemptNumber       INTEGER NOT NULL,
    Outcome             TEXT NOT NULL,
    InstanceId          TEXT,
    Relay               TEXT,
    StartedAt           TEXT,
    EndedAt             TEXT NOT NULL,
    MessageId           TEXT,
    SizeBytes           INTEGER,
    Protection          TEXT,
    RemoteAddress       TEXT,
    ServerName          TEXT,
    TlsVersion          TEXT,
    TlsCipher           TEXT,
    PeerFingerprint     TEXT,
    AuthMechanism       TEXT,
    -- The thumbprint of the signing certificate, as in Certificate.Thumbprint: SHA-1 of its DER, upper-case
    -- hexadecimal.
    SignedBy            TEXT,
    SignatureAlgorithm  TEXT,
    -- The thumbprints of all certificates that can open the envelope, in its order, separated by a blank.
    EncryptedTo         TEXT,
    EncryptionAlgorithm TEXT,
    HeaderProtection    TEXT,
    -- The one address that got the message instead of its recipients, by a redirect of an operator.
    RedirectTo          TEXT,
    -- The relay offers delivery status notifications (RFC 3461).
    OffersDsn           INTEGER,
    -- Its end was not observed, and this request of an operator says what became of it (OperatorRequest.Resolution).
    ResolveRequestId    INTEGER,
    CONSTRAINT UQ_Attempt_AttemptKey UNIQUE (AttemptKey),
    CONSTRAINT CK_Attempt_Outcome CHECK (Outcome IN ('relayed', 'partial', 'delayed', 'failed', 'unknown'))
) STRICT;

CREATE INDEX IX_Attempt_AlertId ON Attempt (AlertId);

-- One row for the relay's reply to each command of an attempt.
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

-- For the view Delivery: the replies for one recipient, among thousands.
CREATE INDEX IX_AttemptReply_Recipient ON AttemptReply (AttemptId, RecipientOrdinal);

-- Cause and advice for each kind of reply. The service fills it.
CREATE TABLE ReplyExplanation (
    ExplanationKey TEXT PRIMARY KEY,
    Fault          TEXT NOT NULL,
    Cause          TEXT NOT NULL,
    Advice         TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- Failures that a digest has reported, and the alert that carried the digest.
CREATE TABLE FailureNotification (
    AlertId       INTEGER PRIMARY KEY REFERENCES Alert (AlertId) ON DELETE CASCADE,
    DigestAlertId INTEGER NOT NULL,
    NotifiedAt    TEXT NOT NULL
) STRICT;

-- What the service reported to the senders of submitted messages, and why it did not: one row per recipient and action
-- (RFC 3464 section 2.3.3).
CREATE TABLE DeliveryReport (
    AlertId       INTEGER NOT NULL REFERENCES Alert (AlertId) ON DELETE CASCADE,
    Ordinal       INTEGER NOT NULL,
    Action        TEXT NOT NULL,
    SendPort      TEXT COLLATE RTRIM NOT NULL,
    ReportedAt    TEXT NOT NULL,
    -- The alert that is the report; NULL: there is none, for this reason.
    ReportAlertId INTEGER,
    Reason        TEXT,
    PRIMARY KEY (AlertId, Ordinal, Action),
    CONSTRAINT CK_DeliveryReport_Action CHECK (Action IN ('failed', 'delayed', 'relayed')),
    CONSTRAINT CK_DeliveryReport_Reason CHECK ((ReportAlertId IS NULL) = (Reason IS NOT NULL))
) STRICT, WITHOUT ROWID;

-- For reports_per_minute.
CREATE INDEX IX_DeliveryReport_ReportedAt ON DeliveryReport (SendPort, ReportedAt, ReportAlertId);
CREATE INDEX IX_DeliveryReport_ReportAlertId ON DeliveryReport (ReportAlertId) WHERE ReportAlertId IS NOT NULL;

-- Reports of other mail systems that the service read: one row per message.
CREATE TABLE Feedback (
    FeedbackId      INTEGER PRIMARY KEY AUTOINCREMENT,
    -- Identifies the report in its source.
    FeedbackKey     TEXT NOT NULL,
    Source          TEXT NOT NULL,
    Kind            TEXT NOT NULL,
    ReceivedAt      TEXT NOT NULL,
    FromAddress     TEXT,
    Subject         TEXT,
    MessageId       TEXT,
    SizeBytes       INTEGER NOT NULL,
    -- The alert that it proves to be about; NULL: none, for this reason.
    AlertId         INTEGER REFERENCES Alert (AlertId) ON DELETE CASCADE,
    UnmatchedReason TEXT,
    -- What it says of recipients that it is not recorded of.
    Summary         TEXT,
    CONSTRAINT UQ_Feedback_FeedbackKey UNIQUE (FeedbackKey),
    CONSTRAINT CK_Feedback_Kind CHECK (Kind IN ('delivery-status', 'disposition', 'complaint', 'auto-reply', 'other')),
    CONSTRAINT CK_Feedback_UnmatchedReason CHECK ((AlertId IS NULL) = (UnmatchedReason IS NOT NULL))
) STRICT;

CREATE INDEX IX_Feedback_AlertId ON Feedback (AlertId, ReceivedAt);

-- What such a report says of a recipient: one row per report and recipient.
CREATE TABLE RecipientFeedback (
    RecipientFeedbackId INTEGER PRIMARY KEY AUTOINCREMENT,
    FeedbackId          INTEGER NOT NULL REFERENCES Feedback (FeedbackId) ON DELETE CASCADE,
    AlertId             INTEGER NOT NULL,
    Ordinal             INTEGER NOT NULL,
    -- The transaction that it is about.
    AttemptId           INTEGER NOT NULL,
    Outcome             TEXT NOT NULL,
    -- The view Delivery shows it: none of this recipient is about a later transaction, or says more.
    IsCurrent           INTEGER NOT NULL,
    -- As the report says.
    ReportedAt          TEXT NOT NULL,
    ReportedBy          TEXT,
    ReportedAddress     TEXT,
    ReplyCode           INTEGER,
    EnhancedStatusCode  TEXT,
    ReplyText           TEXT,
    BounceClass         TEXT,
    ExplanationKey      TEXT,
    CONSTRAINT CK_RecipientFeedback_Outcome CHECK (Outcome IN ('delayed', 'relayed-on', 'delivered', 'read', 'expired',
        'bounced')),
    CONSTRAINT CK_RecipientFeedback_BounceClass CHECK (BounceClass IN ('hard', 'soft', 'blocked', 'quota', 'policy',
        'spam'))
) STRICT;

CREATE INDEX IX_RecipientFeedback_Recipient ON RecipientFeedback (AlertId, Ordinal, IsCurrent);
CREATE INDEX IX_RecipientFeedback_FeedbackId ON RecipientFeedback (FeedbackId);

-- Submitted messages, byte for byte, where the configuration asks for copies. No foreign key to the alert: a copy
-- outlives it, and the service never deletes one.
CREATE TABLE AuditCopy (
    AttemptKey   TEXT NOT NULL,
    -- 'before' or 'after' signing and encryption.
    Stage        TEXT NOT NULL,
    AlertId      INTEGER NOT NULL,
    SendPort     TEXT COLLATE RTRIM NOT NULL,
    Relay        TEXT COLLATE RTRIM NOT NULL,
    CreatedAt    TEXT NOT NULL,
    MessageId    TEXT NOT NULL,
    ReversePath  TEXT NOT NULL,
    -- One a line.
    ForwardPaths TEXT NOT NULL,
    SizeBytes    INTEGER NOT NULL,
    Content      BLOB NOT NULL,
    PRIMARY KEY (AttemptKey, Stage),
    CONSTRAINT CK_AuditCopy_Stage CHECK (Stage IN ('before', 'after'))
) STRICT;

CREATE INDEX IX_AuditCopy_AlertId ON AuditCopy (AlertId);

-- ==== Tables: templates and certificates ====

-- One row for each import that changed a template. The version counts across all templates: one number
-- identifies the state of all of them.
CREATE TABLE TemplateChange (
    Version   INTEGER PRIMARY KEY,
    CreatedAt TEXT NOT NULL,
    CreatedBy TEXT NOT NULL DEFAULT 'sqlite',
    CONSTRAINT CK_TemplateChange_Version CHECK (Version >= 1)
) STRICT;

-- One row for each change of one template in one language. A row is valid until the next version of the same name
-- and language; a row whose texts are all NULL removes the template. Language '' is the default. Other
-- templates extend, include or import one whose name begins with '_'. Sample is a payload for previews.
CREATE TABLE Template (
    Name     TEXT COLLATE RTRIM NOT NULL,
    Language TEXT COLLATE RTRIM NOT NULL,
    Version  INTEGER NOT NULL REFERENCES TemplateChange (Version),
    Subject  TEXT,
    Text     TEXT,
    Html     TEXT,
    Sample   TEXT,
    PRIMARY KEY (Name, Language, Version),
    CONSTRAINT CK_Template_Length CHECK (length(Name) BETWEEN 1 AND 128 AND length(Language) <= 35)
) STRICT;

CREATE TRIGGER TR_Template_Update BEFORE UPDATE ON Template
BEGIN
    SELECT RAISE(ABORT, 'a version of a template never changes; import the template again, as a new version');
END;

CREATE TRIGGER TR_TemplateChange_Update BEFORE UPDATE ON TemplateChange
BEGIN
    SELECT RAISE(ABORT, 'a version of a template never changes; import the template again, as a new version');
END;

-- One row for each certificate and recipient address, the address in lower case. Write access to this table
-- decides who can read encrypted messages.
CREATE TABLE Certificate (
    CertificateId     INTEGER PRIMARY KEY AUTOINCREMENT,
    Address           TEXT COLLATE RTRIM NOT NULL,
    -- 'certificate': the certificate contains the address. 'operator': an operator assigned it.
    BoundBy           TEXT COLLATE RTRIM NOT NULL DEFAULT 'certificate',
    Thumbprint        TEXT COLLATE RTRIM NOT NULL,
    Sha256Fingerprint TEXT COLLATE RTRIM NOT NULL,
    Subject           TEXT NOT NULL,
    Issuer            TEXT NOT NULL,
    SerialNumber      TEXT NOT NULL,
    ValidFrom         TEXT NOT NULL,
    ValidTo           TEXT NOT NULL,
    KeyUsage          TEXT NOT NULL,
    -- KeyUsage allows encryption to it.
    CanEncrypt        INTEGER NOT NULL,
    KeyAlgorithm      TEXT NOT NULL,
    -- What the recipient's client can decrypt, where it is known; NULL: unknown.
    Capabilities      TEXT,
    -- What an operator chose for this recipient, as in the configuration; NULL: the send port decides.
    Cipher            TEXT COLLATE RTRIM,
    RsaPadding        TEXT COLLATE RTRIM,
    Source            TEXT NOT NULL,
    AddedAt           TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),
    AddedBy           TEXT NOT NULL DEFAULT 'sqlite',
    RevokedAt         TEXT,
    RevokedReason     TEXT,
    -- The last column, so that the others are read without it.
    Pem               TEXT NOT NULL,
    CONSTRAINT UQ_Certificate UNIQUE (Address, Sha256Fingerprint),
    CONSTRAINT CK_Certificate_Address CHECK (Address = lower(Address) AND length(Address) BETWEEN 3 AND 320),
    CONSTRAINT CK_Certificate_BoundBy_certificate_or_operator CHECK (BoundBy IN ('certificate', 'operator')),
    CONSTRAINT CK_Certificate_Cipher CHECK (Cipher IN
        ('aes-256-cbc', 'aes-192-cbc', 'aes-128-cbc', 'aes-256-gcm', 'aes-128-gcm', '3des-cbc')),
    CONSTRAINT CK_Certificate_RsaPadding_pkcs1_or_oaep CHECK (RsaPadding IN ('pkcs1', 'oaep')),
    CONSTRAINT CK_Certificate_ValidFrom_like_2026_01_31T12_00_00_000Z CHECK (ValidFrom GLOB
        '[0-9][0-9][0-9][0-9]-[0-1][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9].[0-9][0-9][0-9]Z'
        AND date(ValidFrom, '+0 days') IS substr(ValidFrom, 1, 10)),
    CONSTRAINT CK_Certificate_ValidTo_like_2026_01_31T12_00_00_000Z CHECK (ValidTo GLOB
        '[0-9][0-9][0-9][0-9]-[0-1][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9].[0-9][0-9][0-9]Z'
        AND date(ValidTo, '+0 days') IS substr(ValidTo, 1, 10)),
    CONSTRAINT CK_Certificate_RevokedAt_like_2026_01_31T12_00_00_000Z CHECK (RevokedAt GLOB
        '[0-9][0-9][0-9][0-9]-[0-1][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9].[0-9][0-9][0-9]Z'
        AND date(RevokedAt, '+0 days') IS substr(RevokedAt, 1, 10))
) STRICT;

CREATE INDEX IX_Certificate_Thumbprint ON Certificate (Thumbprint);

-- The expiry warnings that were logged for a certificate, by the number of days that were left.
CREATE TABLE CertificateNotification (
    CertificateId INTEGER NOT NULL,
    DaysLeft      INTEGER NOT NULL,
    NotifiedAt    TEXT NOT NULL,
    PRIMARY KEY (CertificateId, DaysLeft)
) STRICT, WITHOUT ROWID;

-- ==== Tables: the instances of the service, their send ports and relays ====

-- One row: the environment that this database belongs to. A service that is configured for another one refuses
-- to run, so that a restored copy sends nothing.
CREATE TABLE Environment (
    EnvironmentId INTEGER PRIMARY KEY CHECK (EnvironmentId = 1),
    Name          TEXT COLLATE RTRIM NOT NULL,
    AdoptedAt     TEXT NOT NULL
) STRICT;

-- One row for each run of the service. All leases of an instance last until LeaseUntil.
CREATE TABLE Instance (
    InstanceId      TEXT PRIMARY KEY,
    Name            TEXT NOT NULL,
    HostName        TEXT NOT NULL,
    ProcessId       INTEGER NOT NULL,
    Version         TEXT NOT NULL,
    StartedAt       TEXT NOT NULL,
    RenewedAt       TEXT NOT NULL,
    LeaseUntil      TEXT NOT NULL,
    StoppedAt       TEXT,
    -- Why the instance sends nothing now; NULL: nothing prevents it.
    WaitingFor      TEXT,
    -- Outcomes in its state folder that could not be recorded here.
    UnrecordedCount INTEGER NOT NULL DEFAULT 0,
    UnrecordedSince TEXT,
    -- Alerts that are due and whose rows the database refuses to change.
    UnclaimedCount  INTEGER NOT NULL DEFAULT 0,
    UnclaimedSince  TEXT,
    -- The number of instances, this one included, that share the limits of each relay. 0: the instance sends nothing
    -- yet, and the others do not count it.
    ShareCount      INTEGER NOT NULL DEFAULT 1,
    CONSTRAINT CK_Instance_ShareCount CHECK (ShareCount >= 0)
) STRICT, WITHOUT ROWID;

-- The send ports of the configuration. The service writes it; changing a row has no effect.
CREATE TABLE SendPort (
    Name          TEXT COLLATE RTRIM PRIMARY KEY,
    FromAddress   TEXT NOT NULL,
    Protection    TEXT NOT NULL,
    MaxAgeSeconds INTEGER NOT NULL,
    LastSeenAt    TEXT NOT NULL,
    -- After an attempt with an unknown end. 'retry': send again, with the same Message-ID. 'hold': hold the alert
    -- until an operator resolves it.
    InDoubt       TEXT NOT NULL DEFAULT 'retry',
    CONSTRAINT CK_SendPort_InDoubt CHECK (InDoubt IN ('retry', 'hold'))
) STRICT, WITHOUT ROWID;

-- The relays of each send port, in the order in which the service tries them.
CREATE TABLE SendPortRelay (
    SendPort TEXT COLLATE RTRIM NOT NULL REFERENCES SendPort (Name) ON DELETE CASCADE,
    Ordinal  INTEGER NOT NULL,
    Relay    TEXT COLLATE RTRIM NOT NULL,
    PRIMARY KEY (SendPort, Ordinal)
) STRICT, WITHOUT ROWID;

-- The state of each relay, as each instance sees it.
CREATE TABLE RelayState (
    InstanceId     TEXT NOT NULL REFERENCES Instance (InstanceId) ON DELETE CASCADE,
    Relay          TEXT COLLATE RTRIM NOT NULL,
    Condition      TEXT NOT NULL,
    Since          TEXT NOT NULL,
    RetryAt        TEXT,
    Reply          TEXT,
    ExplanationKey TEXT,
    -- What this instance may use of the relay now; NULL: no limit.
    Connections    INTEGER,
    MessageRate    TEXT,
    -- Why that is less than its share of the configured limits.
    ThrottleReason TEXT,
    -- Maximum number of recipients of one transaction.
    MaxRecipients  INTEGER,
    PRIMARY KEY (InstanceId, Relay),
    CONSTRAINT CK_RelayState_Condition CHECK (Condition IN ('closed', 'open', 'half_open', 'paused'))
) STRICT, WITHOUT ROWID;

-- Whether the service may try a password. A refused one is not tried again for a while, and an untested one is
-- tried by one instance alone, so that no account is locked.
CREATE TABLE RelayAuthentication (
    Relay                 TEXT COLLATE RTRIM NOT NULL,
    -- A short hash that distinguishes passwords; the password cannot be recovered from it.
    CredentialFingerprint TEXT NOT NULL,
    State                 TEXT NOT NULL,
    StateAt               TEXT NOT NULL,
    InstanceId            TEXT,
    -- The last refusal, until the relay accepts the password.
    RefusedAt             TEXT,
    ReplyCode             INTEGER,
    EnhancedStatusCode    TEXT,
    ReplyText             TEXT,
    -- Attempts in a row that the relay did not answer.
    UnansweredCount       INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (Relay, CredentialFingerprint),
    CONSTRAINT CK_RelayAuthentication_State CHECK (State IN ('trying', 'accepted', 'refused', 'unanswered'))
) STRICT, WITHOUT ROWID;

-- Events for operators, beside the service's log.
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

CREATE INDEX IX_EventLog_AlertId ON EventLog (AlertId) WHERE AlertId IS NOT NULL;

-- ==== Tables: requests of operators ====

-- One row for each request of an operator. The service applies it in batches; a request changes no alert itself. A
-- column of the filter that is NULL matches every alert. Nothing deletes a row: they say who did what, when, and to
-- how many alerts.
CREATE TABLE OperatorRequest (
    RequestId      INTEGER PRIMARY KEY AUTOINCREMENT,
    Verb           TEXT NOT NULL,
    -- The filter.
    AlertId        INTEGER,
    SendPort       TEXT COLLATE RTRIM,
    AlertName      TEXT,
    Reference      TEXT COLLATE RTRIM,
    CreatedBy      TEXT,
    -- Of a recipient.
    Relay          TEXT,
    ExplanationKey TEXT,
    Status         TEXT,
    CreatedFrom    TEXT,
    -- Alerts that are inserted later are never cancelled or requeued.
    CreatedUntil   TEXT,
    -- A purge: what became final until then.
    FinalBefore    TEXT,
    -- A release: the hold or the redirect that ends.
    HoldRequestId  INTEGER,
    -- Without this a request without a filter is refused.
    MatchesAll     INTEGER NOT NULL DEFAULT 0,
    -- A requeue: the recipients that failed, expired or were cancelled, all, or those that a redirect sent elsewhere.
    Recipients     TEXT,
    NewMessageId   INTEGER NOT NULL DEFAULT 0,
    -- A redirect: the one address that gets what matches.
    RedirectTo     TEXT,
    -- A purge: the alerts and their statuses stay.
    BodiesOnly     INTEGER NOT NULL DEFAULT 0,
    -- A resolve: what became of the message.
    Resolution     TEXT,
    Comment        TEXT,
    RequestedAt    TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),
    RequestedBy    TEXT NOT NULL DEFAULT 'sqlite',
    HostName       TEXT,
    State          TEXT NOT NULL DEFAULT 'open',
    -- Alerts that were changed, and alerts that could not be.
    AppliedCount   INTEGER NOT NULL DEFAULT 0,
    RefusedCount   INTEGER NOT NULL DEFAULT 0,
    CompletedAt    TEXT,
    Result         TEXT,
    CONSTRAINT CK_OperatorRequest_Verb CHECK (Verb IN ('cancel', 'hold', 'release', 'requeue', 'purge', 'redirect', 'resolve')),
    CONSTRAINT CK_OperatorRequest_State_open_or_done CHECK (State IN ('open', 'done')),
    CONSTRAINT CK_OperatorRequest_needs_a_filter_or_MatchesAll CHECK (MatchesAll = 1 OR
        coalesce(AlertId, HoldRequestId, CreatedFrom, CreatedUntil, FinalBefore, SendPort, Reference, ExplanationKey, Status,
                 AlertName, CreatedBy, Relay) IS NOT NULL),
    CONSTRAINT CK_OperatorRequest_hold_has_one_of_AlertId_SendPort_AlertName CHECK (Verb <> 'hold' OR
        (AlertId IS NOT NULL) + (SendPort IS NOT NULL) + (AlertName IS NOT NULL) = 1 AND MatchesAll = 0 AND
        coalesce(HoldRequestId, Reference, ExplanationKey, Status, CreatedBy, Relay, CreatedFrom, CreatedUntil) IS NULL),
    CONSTRAINT CK_OperatorRequest_redirect_has_one_filter CHECK (Verb <> 'redirect' OR
        (AlertId IS NOT NULL) + (SendPort IS NOT NULL) + (AlertName IS NOT NULL) + MatchesAll = 1 AND
        coalesce(HoldRequestId, Reference, ExplanationKey, Status, CreatedBy, Relay, CreatedFrom, CreatedUntil) IS NULL),
    CONSTRAINT CK_OperatorRequest_redirect_has_RedirectTo CHECK ((Verb = 'redirect') = (RedirectTo IS NOT NULL)),
    -- `sendport resolve` carries it out and writes the row.
    CONSTRAINT CK_OperatorRequest_resolve_is_done_and_has_AlertId_and_Resolution CHECK (
        (Verb = 'resolve') = (Resolution IS NOT NULL)
        AND (Verb <> 'resolve' OR State = 'done' AND AlertId IS NOT NULL AND Resolution IN ('relayed', 'resend', 'cancel'))),
    CONSTRAINT CK_OperatorRequest_cancel_and_requeue_have_CreatedUntil CHECK (
        Verb NOT IN ('cancel', 'requeue') OR CreatedUntil IS NOT NULL),
    CONSTRAINT CK_OperatorRequest_Recipients_failed_all_or_redirected CHECK (Recipients IN ('failed', 'all', 'redirected')),
    CONSTRAINT CK_OperatorRequest_requeue_has_Recipients CHECK (Verb <> 'requeue' OR Recipients IS NOT NULL),
    -- Before that the counts of their minutes are not complete.
    CONSTRAINT CK_OperatorRequest_purge_has_FinalBefore_an_hour_before_RequestedAt CHECK (Verb <> 'purge' OR
        FinalBefore IS NOT NULL AND FinalBefore <= strftime('%Y-%m-%dT%H:%M:%fZ', RequestedAt, '-1 hour')),
    -- They would match no more once some of its recipients are deleted.
    CONSTRAINT CK_OperatorRequest_purge_has_no_Relay_or_ExplanationKey CHECK (
        Verb <> 'purge' OR Relay IS NULL AND ExplanationKey IS NULL),
    CONSTRAINT CK_OperatorRequest_Comment_of_at_most_400_characters CHECK (length(Comment) <= 400),
    CONSTRAINT CK_OperatorRequest_BodiesOnly_0_or_1 CHECK (BodiesOnly IN (0, 1)),
    CONSTRAINT CK_OperatorRequest_MatchesAll_0_or_1 CHECK (MatchesAll IN (0, 1)),
    CONSTRAINT CK_OperatorRequest_NewMessageId_0_or_1 CHECK (NewMessageId IN (0, 1)),
    CONSTRAINT CK_OperatorRequest_RequestedAt_like_2026_01_31T12_00_00_000Z CHECK (RequestedAt GLOB
        '[0-9][0-9][0-9][0-9]-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9].[0-9][0-9][0-9]Z'
        AND date(RequestedAt, '+0 days') IS substr(RequestedAt, 1, 10)),
    CONSTRAINT CK_OperatorRequest_CompletedAt_like_2026_01_31T12_00_00_000Z CHECK (CompletedAt GLOB
        '[0-9][0-9][0-9][0-9]-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9].[0-9][0-9][0-9]Z'
        AND date(CompletedAt, '+0 days') IS substr(CompletedAt, 1, 10)),
    CONSTRAINT CK_OperatorRequest_CreatedFrom_like_2026_01_31T12_00_00_000Z CHECK (CreatedFrom GLOB
        '[0-9][0-9][0-9][0-9]-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9].[0-9][0-9][0-9]Z'
        AND date(CreatedFrom, '+0 days') IS substr(CreatedFrom, 1, 10)),
    CONSTRAINT CK_OperatorRequest_CreatedUntil_like_2026_01_31T12_00_00_000Z CHECK (CreatedUntil GLOB
        '[0-9][0-9][0-9][0-9]-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9].[0-9][0-9][0-9]Z'
        AND date(CreatedUntil, '+0 days') IS substr(CreatedUntil, 1, 10)),
    CONSTRAINT CK_OperatorRequest_FinalBefore_like_2026_01_31T12_00_00_000Z CHECK (FinalBefore GLOB
        '[0-9][0-9][0-9][0-9]-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9].[0-9][0-9][0-9]Z'
        AND date(FinalBefore, '+0 days') IS substr(FinalBefore, 1, 10))
) STRICT;

CREATE INDEX IX_OperatorRequest_Open ON OperatorRequest (State) WHERE State = 'open';

-- The requests of operators that changed an alert before the latest one did, which is AlertState.RequestId: an alert that
-- one request changed has no row here.
CREATE TABLE EarlierRequest (
    AlertId   INTEGER NOT NULL REFERENCES Alert (AlertId) ON DELETE CASCADE,
    RequestId INTEGER NOT NULL,
    PRIMARY KEY (AlertId, RequestId)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER TR_AlertState_EarlierRequest AFTER UPDATE OF RequestId ON AlertState
WHEN OLD.RequestId IS NOT NULL AND OLD.RequestId IS NOT NEW.RequestId
BEGIN
    INSERT OR IGNORE INTO EarlierRequest (AlertId, RequestId) VALUES (OLD.AlertId, OLD.RequestId);
END;

-- ==== Tables: retention ====

-- How many alerts were deleted, by the UTC day on which they became final. Counted in the transaction that deletes
-- them.
CREATE TABLE DailyCount (
    Day            TEXT NOT NULL,
    SendPort       TEXT COLLATE RTRIM NOT NULL,
    Status         TEXT NOT NULL,
    AlertCount     INTEGER NOT NULL,
    RecipientCount INTEGER NOT NULL,
    PRIMARY KEY (Day, SendPort, Status)
) STRICT, WITHOUT ROWID;

-- One row: which instance deletes old rows, what was deleted today, and why it pauses.
CREATE TABLE RetentionState (
    RetentionStateId INTEGER PRIMARY KEY CHECK (RetentionStateId = 1),
    InstanceId       TEXT,
    -- Until then no other instance deletes.
    LeaseUntil       TEXT,
    -- When the present round began; NULL: the last one has ended.
    RunningSince     TEXT,
    UpdatedAt        TEXT,
    PausedReason     TEXT,
    -- Of the final alerts that are still there.
    OldestFinalAt    TEXT,
    OldestBodyAt     TEXT,
    -- The UTC day of the counts.
    Day              TEXT NOT NULL,
    PurgedAlerts     INTEGER NOT NULL DEFAULT 0,
    PurgedBodies     INTEGER NOT NULL DEFAULT 0,
    PurgedRows       INTEGER NOT NULL DEFAULT 0,
    PurgedBytes      INTEGER NOT NULL DEFAULT 0
) STRICT;

-- The final alerts of each minute, by the minute of FinalAt, send port, status and the relay of the last attempt ('': there
-- was none). The service counts closed minutes; a minute is counted again until nothing can be added to it.
CREATE TABLE MinuteCount (
    Minute         TEXT NOT NULL,
    SendPort       TEXT COLLATE RTRIM NOT NULL,
    Relay          TEXT COLLATE RTRIM NOT NULL,
    Status         TEXT NOT NULL,
    AlertCount     INTEGER NOT NULL,
    RecipientCount INTEGER NOT NULL,
    AttemptCount   INTEGER NOT NULL,
    PRIMARY KEY (Minute, SendPort, Relay, Status)
) STRICT, WITHOUT ROWID;

-- How long alerts that were relayed took, a histogram for each minute and send port: so many alerts took no longer than
-- UpToMs, and longer than the bound before. The time begins with the insert, with NotBefore, or with a requeue.
CREATE TABLE MinuteLatency (
    Minute     TEXT NOT NULL,
    SendPort   TEXT COLLATE RTRIM NOT NULL,
    UpToMs     INTEGER NOT NULL,
    AlertCount INTEGER NOT NULL,
    PRIMARY KEY (Minute, SendPort, UpToMs)
) STRICT, WITHOUT ROWID;

-- One row: up to which minute alerts are counted.
CREATE TABLE RollupState (
    RollupStateId INTEGER PRIMARY KEY CHECK (RollupStateId = 1),
    CountedTo     TEXT NOT NULL,
    UpdatedAt     TEXT NOT NULL
) STRICT;

-- Minutes that a late outcome changed: it came from a state folder, without the lease, and the alert was final. The service
-- counts them again, and deletes the row.
CREATE TABLE MinuteRecount (
    MinuteRecountId INTEGER PRIMARY KEY AUTOINCREMENT,
    Minute          TEXT NOT NULL
) STRICT;

-- ==== Views ====

-- One row per alert.
CREATE VIEW AlertStatus AS
SELECT a.AlertId, a.PublicId, a.Reference, a.Source, a.AlertName, a.Severity, a.Subject, a.SendPort, a.Priority,
       s.Status, s.StatusAt, CASE WHEN s.Status <> 'sending' THEN s.StatusReason END AS StatusReason,
       s.AttemptCount, s.DueAt AS NextAttemptAt,
       (SELECT count(*) FROM Recipient r WHERE r.AlertId = a.AlertId) AS RecipientCount,
       (SELECT count(*) FROM Recipient r WHERE r.AlertId = a.AlertId AND r.Status = 'relayed') AS RelayedCount,
       (SELECT count(*) FROM Recipient r WHERE r.AlertId = a.AlertId AND r.Status IN ('queued', 'delayed')) AS WaitingCount,
       (SELECT count(*) FROM Recipient r WHERE r.AlertId = a.AlertId AND r.Status IN ('failed', 'expired')) AS FailedCount,
       s.FinalAt, s.BodyPurgedAt, a.CreatedAt, a.CreatedBy, s.Origin,
       (SELECT count(*) FROM RecipientFeedback f
        WHERE f.AlertId = a.AlertId AND f.IsCurrent = 1 AND f.Outcome IN ('delivered', 'read')) AS DeliveredCount,
       (SELECT count(*) FROM RecipientFeedback f
        WHERE f.AlertId = a.AlertId AND f.IsCurrent = 1 AND f.Outcome IN ('bounced', 'expired')) AS BouncedCount
FROM Alert a
JOIN AlertState s ON s.AlertId = a.AlertId;

-- One row per recipient: status, the relay's reply, cause and advice; and the protection of the message in the
-- latest attempt that has a reply for this recipient.
CREATE VIEW Delivery AS
SELECT r.AlertId, a.PublicId, a.Reference, a.SendPort, r.Ordinal, r.Kind, r.Address, r.DisplayName,
       r.Status, r.StatusAt, r.AttemptCount,
       CASE WHEN r.Status IN ('queued', 'delayed') THEN s.DueAt END AS NextAttemptAt,
       r.Relay, r.Command, r.ReplyCode, r.EnhancedStatusCode, r.ReplyText,
       e.Fault, e.Cause, e.Advice, r.Remark, a.Subject, a.CreatedAt, a.CreatedBy,
       t.MessageId, t.Protection, t.SignedBy, t.SignatureAlgorithm, t.EncryptedTo, t.EncryptionAlgorithm,
       t.HeaderProtection,
       f.Outcome AS ReportedOutcome, f.ReportedAt, f.ReportedBy, f.BounceClass AS ReportedClass,
       f.ReplyCode AS ReportedReplyCode, f.EnhancedStatusCode AS ReportedEnhancedStatusCode,
       f.ReplyText AS ReportedText, g.Cause AS ReportedCause, g.Advice AS ReportedAdvice
FROM Recipient r
JOIN Alert a ON a.AlertId = r.AlertId
JOIN AlertState s ON s.AlertId = r.AlertId
LEFT JOIN ReplyExplanation e ON e.ExplanationKey = r.ExplanationKey
LEFT JOIN RecipientFeedback f ON f.AlertId = r.AlertId AND f.Ordinal = r.Ordinal AND f.IsCurrent = 1
LEFT JOIN ReplyExplanation g ON g.ExplanationKey = f.ExplanationKey
LEFT JOIN Attempt t ON t.AttemptId = (SELECT max(x.AttemptId)
                                      FROM Attempt x
                                      -- CROSS JOIN keeps the order: the attempts of the alert first.
                                      CROSS JOIN AttemptReply p ON p.AttemptId = x.AttemptId
                                      WHERE x.AlertId = r.AlertId AND p.RecipientOrdinal = r.Ordinal);

-- Recipients that failed or expired, with the reason. An alert without a readable recipient has one row here.
CREATE VIEW FailedDelivery AS
SELECT a.AlertId, a.PublicId, a.Reference, a.SendPort, r.Ordinal, r.Kind, r.Address, r.Status, r.StatusAt,
       r.Relay, r.Command, r.ReplyCode, r.EnhancedStatusCode,
       coalesce('redirected to ' || r.RedirectTo || ': ', '') || r.ReplyText AS Reason, e.Fault, e.Cause, e.Advice,
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

-- One row for each alert that may have been sent: not final, not leased, and its latest attempt has an unknown
-- end. CROSS JOIN keeps the order: live alerts first, so that finished ones are never read.
CREATE VIEW InDoubt AS
SELECT s.AlertId, a.PublicId, a.Reference, a.SendPort, a.Subject, s.Status, s.StatusReason,
       t.AttemptId, t.AttemptNumber, t.Relay, t.MessageId, t.StartedAt, t.EndedAt, t.RemoteAddress,
       s.DueAt AS NextAttemptAt, a.CreatedAt, a.CreatedBy
FROM AlertState s
CROSS JOIN Attempt t ON t.AlertId = s.AlertId
CROSS JOIN Alert a ON a.AlertId = s.AlertId
WHERE s.FinalAt IS NULL AND s.Status IN ('queued', 'delayed', 'held') AND s.AttemptCount > 0
  AND t.Outcome = 'unknown'
  -- Recipients that the relay refused in an attempt that an operator resolved as relayed may wait.
  AND NOT EXISTS (SELECT 1 FROM OperatorRequest q WHERE q.RequestId = t.ResolveRequestId AND q.Resolution = 'relayed')
  AND NOT EXISTS (SELECT 1 FROM Attempt l
                  WHERE l.AlertId = t.AlertId
                    AND (l.AttemptNumber > t.AttemptNumber
                         OR (l.AttemptNumber = t.AttemptNumber AND l.AttemptId > t.AttemptId)));

-- Depth and oldest age of the alerts that are not final, by send port and status, and what they wait for.
CREATE VIEW Queue AS
SELECT q.SendPort, q.Status, q.Depth, q.OldestAt,
       CAST(round((julianday('now') - julianday(q.OldestAt)) * 86400) AS INTEGER) AS OldestAgeSeconds,
       q.NextDueAt,
       CASE
           WHEN q.Status = 'sending'
               THEN coalesce((SELECT CASE WHEN i.StoppedAt IS NOT NULL OR i.LeaseUntil <= strftime('%Y-%m-%dT%H:%M:%fZ', 'now')
                                 THEN 'leased to instance ' || i.Name || ', whose lease ended at ' || i.LeaseUntil ||
                                      ': a running instance takes them over' ||
                                      CASE WHEN i.StoppedAt IS NULL THEN ', unless process ' || i.ProcessId || ' still runs on ' || i.HostName ||
                                           ': if it hangs, end it' ELSE '' END
                                 WHEN i.WaitingFor IS NOT NULL THEN 'instance ' || i.Name || ': ' || i.WaitingFor
                                 ELSE i.UnrecordedCount || ' outcomes not recorded by instance ' || i.Name ||
                                      ' since ' || i.UnrecordedSince || ': see EventLog' END
                     FROM Instance i
                     WHERE (i.UnrecordedCount > 0 OR i.StoppedAt IS NOT NULL
                            OR i.LeaseUntil <= strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))
                       AND EXISTS (SELECT 1 FROM AlertState s WHERE s.LeaseOwner = i.InstanceId AND s.SendPort = q.SendPort)
                     ORDER BY i.LeaseUntil LIMIT 1),
                    (SELECT 'relay ' || rs.Relay || ': ' || rs.Reply
                     FROM SendPortRelay pr
                     JOIN RelayState rs ON rs.Relay = pr.Relay
                     JOIN Instance i ON i.InstanceId = rs.InstanceId
                     WHERE pr.SendPort = q.SendPort AND rs.ExplanationKey = 'relay-unresponsive' AND i.StoppedAt IS NULL
                       AND i.LeaseUntil > strftime('%Y-%m-%dT%H:%M:%fZ', 'now')
                     ORDER BY pr.Ordinal LIMIT 1))
           WHEN q.Status = 'held' AND q.CancellingCount = q.Depth THEN 'cancelled by an operator: the service ends them in batches'
           WHEN q.Status IN ('queued', 'delayed') AND q.HeldBy IS NOT NULL THEN q.HeldBy
           WHEN q.Status = 'held' AND q.InDoubtCount = 0 THEN 'held by an operator until released'
           WHEN q.Status = 'held' AND q.InDoubtCount = q.Depth THEN 'held in doubt: see the view InDoubt'
           WHEN q.Status = 'held' THEN q.InDoubtCount || ' held in doubt: see the view InDoubt; ' ||
                                       'the others held by an operator until released'
           WHEN NOT q.IsRunning THEN 'no instance of the service is running'
           WHEN NOT q.IsKnown
               -- The sweep has written which name is similar.
               THEN coalesce((SELECT s.StatusReason FROM AlertState s
                              WHERE s.SendPort = q.SendPort AND s.Priority IN ('urgent', 'normal', 'low')
                                AND s.DueAt = q.NextDueAt AND s.StatusReasonCode = 'no-such-send-port' LIMIT 1),
                             'no running instance has a send port named ''' || q.SendPort || '''')
           WHEN NOT EXISTS (SELECT 1 FROM Instance i WHERE i.WaitingFor IS NULL AND i.StoppedAt IS NULL
                            AND i.LeaseUntil > strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))
               THEN (SELECT 'instance ' || i.Name || ': ' || i.WaitingFor
                     FROM Instance i
                     WHERE i.WaitingFor IS NOT NULL AND i.StoppedAt IS NULL
                       AND i.LeaseUntil > strftime('%Y-%m-%dT%H:%M:%fZ', 'now')
                     ORDER BY i.StartedAt LIMIT 1)
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
           WHEN q.NextDueAt > strftime('%Y-%m-%dT%H:%M:%fZ', 'now')
               THEN coalesce((SELECT s.StatusReason || ', ' FROM AlertState s
                              WHERE s.SendPort = q.SendPort AND s.Priority IN ('urgent', 'normal', 'low')
                                AND s.DueAt = q.NextDueAt AND s.Status = q.Status AND s.StatusReason IS NOT NULL
                              LIMIT 1), '') || 'due at ' || q.NextDueAt
           ELSE COALESCE((SELECT i.UnclaimedCount || ' alerts refused by the database to instance ' || i.Name || ' since ' ||
                                 i.UnclaimedSince || ': see EventLog'
                          FROM Instance i
                          WHERE i.UnclaimedCount > 0 AND i.UnclaimedSince >= q.NextDueAt AND i.StoppedAt IS NULL
                            AND i.LeaseUntil > strftime('%Y-%m-%dT%H:%M:%fZ', 'now')
                          ORDER BY i.UnclaimedSince LIMIT 1),
               -- Due again, and released the last time: among many that wait for each other one always is.
               CASE q.Status WHEN 'queued' THEN (SELECT s.StatusReason FROM AlertState s
                          WHERE s.SendPort = q.SendPort AND s.Priority IN ('urgent', 'normal', 'low')
                            AND s.DueAt = q.NextDueAt AND s.Status = q.Status AND s.StatusReason IS NOT NULL
                          LIMIT 1) END,
               -- Of the relay that is asked first; NULL where an instance may use all of its share.
               (SELECT 'relay ' || rs.Relay || ': ' || rs.ThrottleReason
                FROM SendPortRelay pr
                JOIN RelayState rs ON rs.Relay = pr.Relay
                JOIN Instance i ON i.InstanceId = rs.InstanceId
                WHERE pr.SendPort = q.SendPort AND rs.Condition = 'closed' AND i.StoppedAt IS NULL
                  AND i.LeaseUntil > strftime('%Y-%m-%dT%H:%M:%fZ', 'now')
                ORDER BY pr.Ordinal, rs.ThrottleReason IS NOT NULL LIMIT 1))
       END AS WaitingFor,
       q.IsRunning AND q.IsKnown AS HasInstance
FROM (SELECT SendPort, Status, count(*) AS Depth, min(CreatedAt) AS OldestAt, min(DueAt) AS NextDueAt,
             count(CASE WHEN Status = 'held' AND StatusReasonCode = 'in-doubt' THEN 1 END) AS InDoubtCount,
             count(CASE WHEN Status = 'held' AND StatusReasonCode = 'cancelling' THEN 1 END) AS CancellingCount,
             (SELECT 'the send port is held by ' || o.RequestedBy || ' since ' || o.RequestedAt ||
                     coalesce(': ' || o.Comment, '')
              FROM OperatorRequest o
              WHERE o.State = 'open' AND o.Verb = 'hold' AND o.SendPort = AlertState.SendPort
              ORDER BY o.RequestId LIMIT 1) AS HeldBy,
             EXISTS (SELECT 1 FROM Instance i WHERE i.StoppedAt IS NULL
                     AND i.LeaseUntil > strftime('%Y-%m-%dT%H:%M:%fZ', 'now')) AS IsRunning,
             EXISTS (SELECT 1 FROM SendPort p WHERE p.Name = AlertState.SendPort
                     AND p.LastSeenAt > strftime('%Y-%m-%dT%H:%M:%fZ', 'now', '-2 minutes')) AS IsKnown
      FROM AlertState WHERE FinalAt IS NULL GROUP BY SendPort, Status) q;

-- One row per relay of the running instances: the worst condition that one of them reports, the number of instances
-- in each condition, what they may use together, and the result of the latest authentication.
CREATE VIEW Relay AS
WITH Running AS (
    SELECT rs.*,
           row_number() OVER (PARTITION BY rs.Relay ORDER BY
               CASE rs.Condition WHEN 'paused' THEN 1 WHEN 'open' THEN 2 WHEN 'half_open' THEN 3 ELSE 4 END,
               rs.Since, rs.InstanceId) AS Place
    FROM RelayState rs
    JOIN Instance i ON i.InstanceId = rs.InstanceId
    WHERE i.StoppedAt IS NULL AND i.LeaseUntil > strftime('%Y-%m-%dT%H:%M:%fZ', 'now')
), Total AS (
    SELECT Relay, count(*) AS InstanceCount,
           count(CASE WHEN Condition = 'closed' THEN 1 END) AS ClosedCount,
           count(CASE WHEN Condition = 'half_open' THEN 1 END) AS HalfOpenCount,
           count(CASE WHEN Condition = 'open' THEN 1 END) AS OpenCount,
           count(CASE WHEN Condition = 'paused' THEN 1 END) AS PausedCount,
           CASE WHEN count(Connections) = count(*) THEN sum(Connections) END AS Connections,
           CASE WHEN count(MessageRate) = count(*) THEN group_concat(MessageRate, ' + ') END AS MessageRate,
           max(ThrottleReason) AS ThrottleReason,
           min(MaxRecipients) AS MaxRecipients
    FROM Running GROUP BY Relay
), LatestAuth AS (
    SELECT s.*, row_number() OVER (PARTITION BY s.Relay ORDER BY s.StateAt DESC, s.CredentialFingerprint) AS Place
    FROM RelayAuthentication s
)
SELECT w.Relay, w.Condition, w.Since, w.RetryAt, w.Reply, e.Cause, e.Advice,
       t.InstanceCount, t.ClosedCount, t.HalfOpenCount, t.OpenCount, t.PausedCount,
       t.Connections, t.MessageRate, t.ThrottleReason, t.MaxRecipients,
       s.State AS Authentication, s.StateAt AS AuthenticationAt,
       CASE s.State WHEN 'refused' THEN strftime('%Y-%m-%dT%H:%M:%fZ', s.RefusedAt, '+15 minutes')
                    WHEN 'trying' THEN strftime('%Y-%m-%dT%H:%M:%fZ', s.StateAt, '+5 minutes') END AS AuthenticationRetryAt,
       coalesce(nullif(s.ReplyCode, 0) || ' ', '') || coalesce(s.EnhancedStatusCode || ' ', '') || s.ReplyText AS AuthenticationReply,
       (SELECT group_concat(n.SendPort, ', ')
        FROM (SELECT DISTINCT pr.SendPort
              FROM SendPortRelay pr
              JOIN SendPort p ON p.Name = pr.SendPort
              WHERE pr.Relay = w.Relay
                AND p.LastSeenAt > strftime('%Y-%m-%dT%H:%M:%fZ', 'now', '-2 minutes')
              ORDER BY pr.SendPort) n) AS SendPorts
FROM Running w
JOIN Total t ON t.Relay = w.Relay
LEFT JOIN LatestAuth s ON s.Relay = w.Relay AND s.Place = 1
LEFT JOIN ReplyExplanation e ON e.ExplanationKey = w.ExplanationKey
WHERE w.Place = 1;

-- Why an alert has its status, what happens next, and what a person can do: one sentence a row, in the order of Part,
-- At and Number. Read it for one alert.
CREATE VIEW AlertExplanation AS
WITH AlertDetail AS NOT MATERIALIZED (
    SELECT s.AlertId,
           -- When it expires; NULL if no instance has published its send port.
           CASE WHEN s.FinalAt IS NULL
                THEN (SELECT min(CASE WHEN s.ExpiresAt > coalesce(s.RequeuedAt, s.CreatedAt) THEN s.ExpiresAt
                                      ELSE '9999-12-31T23:59:59.999Z' END,
                                 coalesce(strftime('%Y-%m-%dT%H:%M:%fZ',
                                                   max(coalesce(s.RequeuedAt, s.CreatedAt), coalesce(a.NotBefore, s.CreatedAt)),
                                                   '+' || p.MaxAgeSeconds || ' seconds'), '9999-12-31T23:59:59.999Z'))
                      FROM SendPort p WHERE p.Name = s.SendPort AND p.MaxAgeSeconds IS NOT NULL) END AS LastAt,
           -- The open cancel or hold that changes it. A cancel goes before a hold. A hold of its send port changes no alert
           -- that waits: see Queue.
           CASE WHEN s.Status IN ('queued', 'sending', 'delayed')
                THEN (SELECT o.RequestId FROM OperatorRequest o
                      WHERE o.State = 'open' AND o.Verb IN ('cancel', 'hold')
                        AND (o.AlertId IS NULL OR o.AlertId = a.AlertId) AND (o.SendPort IS NULL OR o.SendPort = a.SendPort)
                        AND (o.AlertName IS NULL OR o.AlertName = a.AlertName) AND (o.Reference IS NULL OR o.Reference = a.Reference)
                        AND (o.CreatedBy IS NULL OR o.CreatedBy = a.CreatedBy)
                        AND (o.CreatedFrom IS NULL OR o.CreatedFrom <= s.CreatedAt) AND (o.CreatedUntil IS NULL OR o.CreatedUntil >= s.CreatedAt)
                        AND (o.Verb <> 'cancel' OR s.RequeuedAt IS NULL OR s.RequeuedAt <= o.RequestedAt)
                        AND CASE s.Status
                                WHEN 'sending' THEN coalesce(o.Status, o.Relay, o.ExplanationKey) IS NULL
                                ELSE (o.Verb = 'cancel' OR o.SendPort IS NULL) AND (o.Status IS NULL OR o.Status = s.Status)
                                     AND (coalesce(o.Relay, o.ExplanationKey) IS NULL
                                          OR EXISTS (SELECT 1 FROM Recipient r
                                                     WHERE r.AlertId = s.AlertId AND r.Status <> 'relayed'
                                                       AND (o.Relay IS NULL OR r.Relay = o.Relay)
                                                       AND (o.ExplanationKey IS NULL OR r.ExplanationKey = o.ExplanationKey))) END
                      ORDER BY o.Verb, o.RequestId LIMIT 1) END AS RequestId,
           -- By what the relay's log shows whether it was sent; NULL if the end of its latest attempt was observed, or an
           -- operator resolved it as relayed.
           (SELECT CASE WHEN t.Outcome = 'unknown'
                             AND NOT EXISTS (SELECT 1 FROM OperatorRequest q
                                             WHERE q.RequestId = t.ResolveRequestId AND q.Resolution = 'relayed')
                                  THEN coalesce('Message-ID ' || t.MessageId,
                                                'PublicId ' || a.PublicId || ', which is the left side of the Message-ID') END
            FROM Attempt t WHERE t.AlertId = s.AlertId
            ORDER BY t.AttemptNumber DESC, t.AttemptId DESC LIMIT 1) AS InDoubtAs,
           -- The database has refused to change it.
           EXISTS (SELECT 1 FROM EventLog e WHERE e.AlertId = s.AlertId AND e.EventType = 'request-refused') AS IsRefused
    FROM AlertState s
    CROSS JOIN Alert a ON a.AlertId = s.AlertId
), RequestSentence AS NOT MATERIALIZED (
    SELECT q.RequestId, q.RequestedAt,
           q.RequestedBy || CASE q.Verb WHEN 'resolve' THEN ' resolved the alert as ' || q.Resolution ELSE ' requested ' || q.Verb END ||
           coalesce(' to ' || q.RedirectTo, '') || ', request ' || q.RequestId || coalesce(': ' || q.Comment, '') AS Sentence
    FROM OperatorRequest q
)
-- What happened.
SELECT a.AlertId, 1 AS Part, 0 AS Number, 'history' AS Kind, a.CreatedAt AS At,
       CASE WHEN s.Origin IN ('digest', 'report') THEN 'the service inserted the alert'
            WHEN m.AlertId IS NOT NULL
            THEN coalesce(coalesce('user ' || m.UserName || ' at ', '') || m.ClientAddress, 'user ' || m.UserName,
                          'a program') ||
                 coalesce(' (' || m.HeloName || ')', '') || ' submitted the message ' ||
                 CASE s.Origin WHEN 'pickup' THEN 'as a file ' WHEN 'sendmail' THEN 'with sendmail ' ELSE '' END ||
                 'to intake ''' || m.Intake || ''''
            ELSE a.CreatedBy || ' inserted the alert' END ||
       ' for send port ''' || a.SendPort || '''' ||
       CASE s.Origin WHEN 'digest' THEN ', to report failures'
                     WHEN 'report' THEN ', to report to the sender' || coalesce(' of alert ' ||
                         (SELECT min(d.AlertId) FROM DeliveryReport d WHERE d.ReportAlertId = a.AlertId), '')
                     ELSE '' END AS Sentence
FROM Alert a
JOIN AlertState s ON s.AlertId = a.AlertId
LEFT JOIN ReceivedMessage m ON m.AlertId = a.AlertId
UNION ALL
SELECT t.AlertId, 1, t.AttemptId, 'history', t.EndedAt,
       'attempt ' || t.AttemptNumber || coalesce(' over relay ''' || t.Relay || '''', '') ||
       coalesce(', redirected to ' || t.RedirectTo || ' alone', '') || ': ' ||
       CASE t.Outcome
           WHEN 'relayed' THEN 'the relay accepted the message'
           WHEN 'partial' THEN 'the relay accepted the message for some recipients'
           WHEN 'delayed' THEN 'the relay accepted the message for no recipient, and some wait for another attempt'
           WHEN 'failed' THEN 'the relay refused the message for all recipients'
           ELSE 'its end was not observed, so the relay may have accepted the message' END ||
       coalesce((SELECT ', with ' || p.ReplyCode || coalesce(' ' || p.EnhancedStatusCode, '') || ' ' || p.ReplyText
                 FROM AttemptReply p
                 WHERE p.AttemptId = t.AttemptId AND p.RecipientOrdinal IS NULL AND p.ReplyCode BETWEEN 200 AND 299
                   AND t.Outcome IN ('relayed', 'partial')
                 ORDER BY p.Ordinal DESC LIMIT 1), '') ||
       coalesce((SELECT ', the first refusal: ' || p.Command || ' ' || p.ReplyCode || coalesce(' ' || p.EnhancedStatusCode, '') ||
                        ' ' || p.ReplyText
                 FROM AttemptReply p
                 WHERE p.AttemptId = t.AttemptId AND p.ReplyCode >= 400
                 ORDER BY p.Ordinal LIMIT 1), '') ||
       -- What happened instead of a reply.
       coalesce((SELECT ', no reply to ' || p.Command || ': ' || p.ReplyText
                 FROM AttemptReply p
                 WHERE p.AttemptId = t.AttemptId AND p.ReplyCode = 0
                 ORDER BY p.Ordinal LIMIT 1), '') ||
       coalesce(', Message-ID ' || t.MessageId, '')
FROM Attempt t
UNION ALL
SELECT e.AlertId, 1, e.EventId, 'history', e.LoggedAt, e.EventType || ': ' || e.Message
FROM EventLog e
-- The request says that it was resolved.
WHERE e.AlertId IS NOT NULL AND e.EventType <> 'in-doubt-resolved'
UNION ALL
-- What was reported to the sender of a submitted message.
SELECT d.AlertId, 1, d.Ordinal, 'history', d.ReportedAt,
       coalesce('a report is sent to the reverse-path ' || m.ReversePath || ' as alert ' || d.ReportAlertId || ': ',
                'no report to the reverse-path ' || coalesce(nullif(m.ReversePath, ''), '<>') || ' because ' || d.Reason || ': ') ||
       d.RecipientCount || CASE d.RecipientCount WHEN 1 THEN ' recipient ' ELSE ' recipients ' END || d.Action
FROM (SELECT AlertId, Action, ReportAlertId, Reason, min(Ordinal) AS Ordinal, min(ReportedAt) AS ReportedAt,
             count(*) AS RecipientCount
      FROM DeliveryReport
      -- Few clients ask for other reports.
      WHERE ReportAlertId IS NOT NULL OR Action = 'failed'
      GROUP BY AlertId, Action, ReportAlertId, Reason) d
JOIN ReceivedMessage m ON m.AlertId = d.AlertId
UNION ALL
-- The requests of operators that changed it: the latest one, at most 19 before, and how many there are before these.
SELECT s.AlertId, 1, q.RequestId, 'history', q.RequestedAt, q.Sentence
FROM AlertState s
JOIN RequestSentence q ON q.RequestId = s.RequestId
UNION ALL
SELECT e.AlertId, 1, q.RequestId, 'history', q.RequestedAt,
       CASE (SELECT count(*) FROM EarlierRequest n WHERE n.AlertId = e.AlertId AND n.RequestId > e.RequestId)
           WHEN 19 THEN (SELECT count(*) || CASE count(*) WHEN 1 THEN ' earlier request' ELSE ' earlier requests' END
                         FROM EarlierRequest n WHERE n.AlertId = e.AlertId AND n.RequestId <= e.RequestId) ||
                        ' of operators changed the alert: see EarlierRequest'
           ELSE q.Sentence END
FROM EarlierRequest e
JOIN AlertState s ON s.AlertId = e.AlertId
JOIN RequestSentence q ON q.RequestId = e.RequestId
WHERE e.RequestId <> s.RequestId
  AND (SELECT count(*) FROM EarlierRequest n WHERE n.AlertId = e.AlertId AND n.RequestId > e.RequestId) <= 19
UNION ALL
-- Only its attempts say that a redirect changed where it went.
SELECT r.AlertId, 1, q.RequestId, 'history', q.RequestedAt, q.Sentence
FROM (SELECT DISTINCT t.AlertId,
             (SELECT max(o.RequestId) FROM OperatorRequest o
              WHERE o.Verb = 'redirect' AND o.RedirectTo = t.RedirectTo COLLATE NOCASE AND o.RequestedAt <= t.EndedAt
                AND (o.AlertId IS NULL OR o.AlertId = a.AlertId) AND (o.SendPort IS NULL OR o.SendPort = a.SendPort)
                AND (o.AlertName IS NULL OR o.AlertName = a.AlertName)) AS RequestId
      FROM Attempt t
      JOIN Alert a ON a.AlertId = t.AlertId
      WHERE t.RedirectTo IS NOT NULL) r
JOIN RequestSentence q ON q.RequestId = r.RequestId
UNION ALL
-- The status now.
SELECT a.AlertId, 2, 0, 'status', a.StatusAt,
       -- A reason often begins with the status itself: 'cancelled by CONTOSO\anna'.
       'the alert is ' || CASE WHEN substr(a.StatusReason, 1, length(a.Status)) = a.Status THEN a.StatusReason
                               ELSE a.Status || coalesce(': ' || a.StatusReason, '') END ||
       CASE WHEN a.RecipientCount = 0 THEN ''
            ELSE ' (' || a.RelayedCount || ' of ' || a.RecipientCount || ' recipients relayed, ' || a.WaitingCount || ' waiting)' END
FROM AlertStatus a
UNION ALL
-- Why recipients have no message.
SELECT g.AlertId, 3, g.Ordinal, 'cause', r.StatusAt,
       CASE g.RecipientCount WHEN 1 THEN r.Address || ' is ' ELSE g.RecipientCount || ' recipients are ' END || g.Status ||
       CASE g.RecipientCount WHEN 1 THEN '' ELSE ', for example ' || r.Address END ||
       coalesce(', redirected to ' || r.RedirectTo, '') || ': ' ||
       coalesce(r.Command || ' ', '') || coalesce(nullif(r.ReplyCode, 0) || ' ', '') ||
       coalesce(r.EnhancedStatusCode || ' ', '') ||
       coalesce(CASE WHEN substr(r.ReplyText, 1, length(g.Status) + 2) = g.Status || ': '
                     THEN substr(r.ReplyText, length(g.Status) + 3) ELSE r.ReplyText END, '') || coalesce('. ' || e.Cause, '')
FROM (SELECT AlertId, Status, ExplanationKey, count(*) AS RecipientCount, min(Ordinal) AS Ordinal
      FROM Recipient
      WHERE Status <> 'relayed' AND (ReplyCode IS NOT NULL OR ReplyText IS NOT NULL)
      GROUP BY AlertId, Status, ExplanationKey) g
JOIN Recipient r ON r.AlertId = g.AlertId AND r.Ordinal = g.Ordinal
LEFT JOIN ReplyExplanation e ON e.ExplanationKey = g.ExplanationKey
UNION ALL
-- An operator resolved an attempt as relayed, and the relay's refusal was recorded later.
SELECT t.AlertId, 3, 1000000 + t.AttemptId, 'cause', l.EndedAt,
       'request ' || q.RequestId || ' of ' || q.RequestedBy || ' resolved attempt ' || t.AttemptNumber ||
       ' as relayed, but the relay refused the message: its reply was recorded later'
FROM Attempt t
JOIN OperatorRequest q ON q.RequestId = t.ResolveRequestId AND q.Resolution = 'relayed'
JOIN Attempt l ON l.AlertId = t.AlertId AND l.AttemptNumber = t.AttemptNumber AND l.AttemptId > t.AttemptId
              AND l.Outcome IN ('failed', 'delayed')
UNION ALL
-- What happens next.
SELECT s.AlertId, 4, 0, 'next',
       CASE WHEN s.Status IN ('queued', 'delayed') AND s.DueAt > strftime('%Y-%m-%dT%H:%M:%fZ', 'now') THEN s.DueAt END,
       CASE
           WHEN s.Status = 'relayed'
               THEN 'nothing more: the relay has promised to deliver the message or to report that it could not'
           WHEN s.FinalAt IS NOT NULL THEN 'nothing more, unless an operator sends it again'
           WHEN s.Status = 'held' AND s.StatusReasonCode = 'in-doubt' THEN 'nothing, until an operator resolves it'
           WHEN s.Status = 'held' AND s.StatusReasonCode = 'cancelling' 
               THEN CASE WHEN d.IsRefused THEN 'the database refused to cancel it (request-refused above); a running instance tries again'
                         ELSE 'a running instance cancels it' END
           WHEN s.Status = 'held' AND s.StatusReasonCode = 'operator-hold'
               THEN 'nothing, until an operator ends the hold ' || s.RequestId
           WHEN s.Status = 'held' THEN 'nothing, until an operator releases it'
           WHEN s.Status = 'sending'
               THEN coalesce((SELECT CASE WHEN i.StoppedAt IS NULL AND i.LeaseUntil > strftime('%Y-%m-%dT%H:%M:%fZ', 'now')
                                          THEN 'instance ' || i.Name || ' is processing it, and records the outcome' ||
                                               coalesce(', once this is over: ' || i.WaitingFor, '')
                                          WHEN i.StoppedAt IS NULL
                                          -- The clock of SQLite is the machine's own, and jumps.
                                          THEN 'the lease of instance ' || i.Name || ' has ended: another running instance takes the alert over, unless process ' ||
                                               i.ProcessId || ' on ' || i.HostName || ' still runs there; if it hangs, end it (kill -9 ' || i.ProcessId || ')'
                                          ELSE 'the lease of instance ' || i.Name ||
                                               ' has ended: another running instance takes the alert over' END
                              FROM Instance i WHERE i.InstanceId = s.LeaseOwner),
                             'a running instance takes the alert over')
           WHEN q.HasInstance = 0 THEN 'nothing: ' || q.WaitingFor
           WHEN d.RequestId IS NOT NULL THEN NULL
           WHEN s.DueAt > d.LastAt THEN 'nothing: it expires before it is due'
           WHEN s.DueAt > strftime('%Y-%m-%dT%H:%M:%fZ', 'now')
               THEN CASE s.Status WHEN 'delayed' THEN 'an instance tries it again' ELSE 'an instance sends it' END
           -- Queue is about all alerts of the send port: the reason of another one is not this one's.
           WHEN q.WaitingFor IS NOT NULL
                AND (s.StatusReason = q.WaitingFor
                     OR NOT EXISTS (SELECT 1 FROM AlertState o
                                    WHERE o.SendPort = s.SendPort AND o.Priority IN ('urgent', 'normal', 'low')
                                      AND o.DueAt = q.NextDueAt AND o.Status = s.Status AND o.StatusReason = q.WaitingFor))
               THEN 'an instance sends it, once this is over: ' || q.WaitingFor
           ELSE 'an instance sends it within seconds' END
FROM AlertState s
JOIN AlertDetail d ON d.AlertId = s.AlertId
LEFT JOIN Queue q ON q.SendPort = s.SendPort AND q.Status = s.Status AND s.FinalAt IS NULL
UNION ALL
SELECT d.AlertId, 4, 1, 'next', d.LastAt, 'it expires, unless it is final by then'
FROM AlertDetail d
WHERE d.LastAt IS NOT NULL
UNION ALL
SELECT s.AlertId, 4, 2, 'next', NULL,
       CASE WHEN q.RedirectTo LIKE '%_@_%' AND q.RedirectTo NOT GLOB '*[ ;,<>]*'
            THEN 'it goes to ' || q.RedirectTo || ' and to no recipient, until an operator ends redirect ' || q.RequestId || ' of ' || q.RequestedBy
            ELSE 'it waits, and goes to no recipient: the address ''' || q.RedirectTo || ''' of redirect ' || q.RequestId || ' of ' || q.RequestedBy ||
                 ' cannot be used; an operator has to end that redirect' END ||
       CASE s.Status WHEN 'sending' THEN '; a message that is on its way to the relay already goes where it was to go before' ELSE '' END
FROM AlertState s
JOIN Alert a ON a.AlertId = s.AlertId
JOIN OperatorRequest q ON q.RequestId = (
    SELECT max(o.RequestId) FROM OperatorRequest o
    WHERE o.State = 'open' AND o.Verb = 'redirect'
      AND (o.AlertId IS NULL OR o.AlertId = a.AlertId) AND (o.SendPort IS NULL OR o.SendPort = a.SendPort)
      AND (o.AlertName IS NULL OR o.AlertName = a.AlertName))
WHERE s.FinalAt IS NULL
UNION ALL
-- A cancel or a hold that is not applied to it yet.
SELECT s.AlertId, 4, 3, 'next', NULL,
       'request ' || q.RequestId || ' of ' || q.RequestedBy || ' is in force: ' ||
       CASE s.Status WHEN 'sending' THEN 'the alert is ' || CASE q.Verb WHEN 'cancel' THEN 'cancelled' ELSE 'held' END
            ELSE CASE WHEN d.IsRefused THEN 'the database refused to ' || q.Verb || ' the alert (request-refused above), and an instance tries again'
                      ELSE 'an instance ' || CASE q.Verb WHEN 'cancel' THEN 'cancels' ELSE 'holds' END || ' the alert' END END ||
       coalesce(' (' || q.Comment || ')', '') ||
       CASE s.Status WHEN 'sending' THEN ', unless its message is on its way to the relay already' ELSE '' END
FROM AlertState s
JOIN AlertDetail d ON d.AlertId = s.AlertId
JOIN OperatorRequest q ON q.RequestId = d.RequestId
UNION ALL
-- What a person can do.
SELECT g.AlertId, 5, g.Ordinal, 'advice', NULL, e.Advice
FROM (SELECT AlertId, ExplanationKey, min(Ordinal) AS Ordinal FROM Recipient
      WHERE Status <> 'relayed' AND ExplanationKey IS NOT NULL
      GROUP BY AlertId, ExplanationKey) g
JOIN ReplyExplanation e ON e.ExplanationKey = g.ExplanationKey
UNION ALL
SELECT s.AlertId, 5, 1000000 + pr.Ordinal, 'advice', NULL, 'relay ''' || r.Relay || ''': ' || r.Advice
FROM AlertState s
JOIN SendPortRelay pr ON pr.SendPort = s.SendPort
JOIN Relay r ON r.Relay = pr.Relay
WHERE s.Status IN ('queued', 'delayed') AND r.Condition <> 'closed' AND r.Advice IS NOT NULL
UNION ALL
SELECT DISTINCT t.AlertId, 5, 1900000, 'advice', NULL,
       'recipients that are relayed by request ' || q.RequestId || ' alone have no message: sendport requeue ' || t.AlertId || ' --recipients all'
FROM Attempt t
JOIN OperatorRequest q ON q.RequestId = t.ResolveRequestId AND q.Resolution = 'relayed'
JOIN Attempt l ON l.AlertId = t.AlertId AND l.AttemptNumber = t.AttemptNumber AND l.AttemptId > t.AttemptId
              AND l.Outcome IN ('failed', 'delayed')
UNION ALL
SELECT s.AlertId, 5, 2000000, 'advice', NULL,
       CASE
           WHEN s.Status = 'relayed' AND EXISTS (SELECT 1 FROM Recipient r WHERE r.AlertId = s.AlertId AND r.RedirectTo IS NOT NULL)
               THEN 'recipients with a remark about a redirect do not have it: once the redirect has ended, sendport requeue ' || s.AlertId || ' --recipients redirected'
           WHEN s.Status = 'relayed'
               THEN 'if a recipient has no message, the administrator of the relay finds it by its Message-ID'
           WHEN s.BodyPurgedAt IS NOT NULL THEN 'its body was purged: insert it again'
           WHEN s.FinalAt IS NOT NULL AND d.InDoubtAs IS NOT NULL
               THEN 'it may have been sent: search the log of the relay for the ' || d.InDoubtAs ||
                    '; if it is not there, send it again: sendport requeue ' || s.AlertId
           WHEN s.FinalAt IS NOT NULL THEN 'remove the cause, and send it again: sendport requeue ' || s.AlertId ||
                '; if the cause is in the alert itself, insert a new one'
           WHEN s.Status = 'held' AND s.StatusReasonCode = 'in-doubt'
               THEN 'search the log of the relay for the ' || d.InDoubtAs || ', then sendport resolve ' || s.AlertId ||
                    ' with --relayed, --resend or --cancel'
           WHEN s.Status = 'held' AND s.StatusReasonCode = 'operator-hold'
               THEN 'sendport release --hold ' || s.RequestId || ', or sendport cancel ' || s.AlertId
           WHEN s.Status = 'held' THEN 'sendport release ' || s.AlertId || ', or sendport cancel ' || s.AlertId
           WHEN NOT EXISTS (SELECT 1 FROM Instance i WHERE i.StoppedAt IS NULL
                            AND i.LeaseUntil > strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))
               THEN 'start the service, and read its log'
           WHEN NOT EXISTS (SELECT 1 FROM SendPort p WHERE p.Name = s.SendPort
                            AND p.LastSeenAt > strftime('%Y-%m-%dT%H:%M:%fZ', 'now', '-2 minutes'))
               THEN 'add the send port to the configuration of an instance, or cancel the alert and insert it again for another send port' END
FROM AlertState s
JOIN AlertDetail d ON d.AlertId = s.AlertId
WHERE s.FinalAt IS NOT NULL OR s.Status = 'held' AND coalesce(s.StatusReasonCode, '') <> 'cancelling'
   OR s.Status IN ('queued', 'delayed')
      AND (NOT EXISTS (SELECT 1 FROM Instance i WHERE i.StoppedAt IS NULL
                       AND i.LeaseUntil > strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))
           OR NOT EXISTS (SELECT 1 FROM SendPort p WHERE p.Name = s.SendPort
                          AND p.LastSeenAt > strftime('%Y-%m-%dT%H:%M:%fZ', 'now', '-2 minutes')));

-- The current version of each template.
CREATE VIEW CurrentTemplate AS
SELECT t.Name, t.Language, t.Version, c.CreatedAt, c.CreatedBy, t.Subject, t.Text, t.Html, t.Sample
FROM Template t
JOIN TemplateChange c ON c.Version = t.Version
WHERE t.Version = (SELECT max(n.Version) FROM Template n WHERE n.Name = t.Name AND n.Language = t.Language)
  AND coalesce(t.Subject, t.Text, t.Html, t.Sample) IS NOT NULL;

-- Certificates that expire within 60 days, can be encrypted to, are not revoked, and have no replacement: no other
-- certificate for the same address that can be encrypted to by then and expires later.
CREATE VIEW ExpiringCertificate AS
SELECT c.CertificateId, c.Address, c.Thumbprint, c.Subject, c.Issuer, c.ValidTo,
       CAST(julianday(c.ValidTo) - julianday('now') AS INTEGER) AS DaysLeft
FROM Certificate c
WHERE c.RevokedAt IS NULL
  AND c.ValidFrom <= strftime('%Y-%m-%dT%H:%M:%fZ', 'now')
  AND c.ValidTo >= strftime('%Y-%m-%dT%H:%M:%fZ', 'now')
  AND c.ValidTo < strftime('%Y-%m-%dT%H:%M:%fZ', 'now', '+60 days')
  AND c.CanEncrypt
  AND NOT EXISTS (
      SELECT 1 FROM Certificate n
      WHERE n.Address = c.Address AND n.ValidTo > c.ValidTo AND n.RevokedAt IS NULL
        AND n.ValidFrom <= c.ValidTo
        AND n.CanEncrypt);

-- What retention deleted today (UTC), since when its present round runs, what keeps it from going on, and the oldest
-- final alert, and the oldest one with its body, that remain.
CREATE VIEW RetentionProgress AS
SELECT r.RunningSince, r.UpdatedAt, r.PausedReason, r.OldestFinalAt, r.OldestBodyAt,
       CASE WHEN r.Day = date('now') THEN r.PurgedAlerts ELSE 0 END AS PurgedAlertsToday,
       CASE WHEN r.Day = date('now') THEN r.PurgedBodies ELSE 0 END AS PurgedBodiesToday,
       CASE WHEN r.Day = date('now') THEN r.PurgedRows ELSE 0 END AS PurgedRowsToday,
       CASE WHEN r.Day = date('now') THEN r.PurgedBytes ELSE 0 END AS PurgedBytesToday,
       (SELECT i.Name FROM Instance i
        WHERE i.InstanceId = r.InstanceId AND r.LeaseUntil > strftime('%Y-%m-%dT%H:%M:%fZ', 'now')) AS Instance
FROM RetentionState r;

-- Throughput and latency come from the counts of closed minutes: they read no alert, so they cost the same beside any number
-- of alerts.
--
-- Alerts that became final in each minute of the last 24 hours, by send port and relay.
CREATE VIEW ThroughputByMinute AS
SELECT c.Minute AS Minute, c.SendPort, c.Relay, sum(c.AlertCount) AS AlertCount,
       sum(CASE WHEN c.Status = 'relayed' THEN c.AlertCount ELSE 0 END) AS RelayedCount,
       sum(CASE WHEN c.Status = 'partial' THEN c.AlertCount ELSE 0 END) AS PartialCount,
       sum(CASE WHEN c.Status = 'failed' THEN c.AlertCount ELSE 0 END) AS FailedCount,
       sum(CASE WHEN c.Status = 'expired' THEN c.AlertCount ELSE 0 END) AS ExpiredCount,
       sum(CASE WHEN c.Status IN ('cancelled', 'suppressed') THEN c.AlertCount ELSE 0 END) AS CancelledCount,
       sum(c.RecipientCount) AS RecipientCount, sum(c.AttemptCount) AS AttemptCount
FROM MinuteCount c
WHERE c.Minute >= strftime('%Y-%m-%dT%H:%M:%fZ', 'now', '-24 hours')
GROUP BY c.Minute, c.SendPort, c.Relay;

-- The same by hour.
CREATE VIEW ThroughputByHour AS
SELECT substr(c.Minute, 1, 13) || ':00:00.000Z' AS Hour, c.SendPort, c.Relay, sum(c.AlertCount) AS AlertCount,
       sum(CASE WHEN c.Status = 'relayed' THEN c.AlertCount ELSE 0 END) AS RelayedCount,
       sum(CASE WHEN c.Status = 'partial' THEN c.AlertCount ELSE 0 END) AS PartialCount,
       sum(CASE WHEN c.Status = 'failed' THEN c.AlertCount ELSE 0 END) AS FailedCount,
       sum(CASE WHEN c.Status = 'expired' THEN c.AlertCount ELSE 0 END) AS ExpiredCount,
       sum(CASE WHEN c.Status IN ('cancelled', 'suppressed') THEN c.AlertCount ELSE 0 END) AS CancelledCount,
       sum(c.RecipientCount) AS RecipientCount, sum(c.AttemptCount) AS AttemptCount
FROM MinuteCount c
WHERE c.Minute >= strftime('%Y-%m-%dT%H:%M:%fZ', 'now', '-24 hours')
GROUP BY substr(c.Minute, 1, 13) || ':00:00.000Z', c.SendPort, c.Relay;

-- In each minute of the last 24 hours half of the alerts that were relayed took no longer than P50Ms milliseconds, 95 of 100
-- no longer than P95Ms, 99 of 100 no longer than P99Ms.
CREATE VIEW LatencyByMinute AS
SELECT h.Minute, h.SendPort, max(h.UpToHere) AS AlertCount,
       min(CASE WHEN h.UpToHere >= 0.50 * h.Total THEN h.UpToMs END) AS P50Ms,
       min(CASE WHEN h.UpToHere >= 0.95 * h.Total THEN h.UpToMs END) AS P95Ms,
       min(CASE WHEN h.UpToHere >= 0.99 * h.Total THEN h.UpToMs END) AS P99Ms,
       max(h.UpToMs) AS MaxMs
FROM (SELECT b.Minute, b.SendPort, b.UpToMs,
             sum(b.AlertCount) OVER (PARTITION BY b.Minute, b.SendPort ORDER BY b.UpToMs) AS UpToHere,
             sum(b.AlertCount) OVER (PARTITION BY b.Minute, b.SendPort) AS Total
      FROM (SELECT l.Minute AS Minute, l.SendPort, l.UpToMs, sum(l.AlertCount) AS AlertCount
            FROM MinuteLatency l
            WHERE l.Minute >= strftime('%Y-%m-%dT%H:%M:%fZ', 'now', '-24 hours')
            GROUP BY l.Minute, l.SendPort, l.UpToMs) b) h
GROUP BY h.Minute, h.SendPort;

-- The same by hour.
CREATE VIEW LatencyByHour AS
SELECT h.Hour, h.SendPort, max(h.UpToHere) AS AlertCount,
       min(CASE WHEN h.UpToHere >= 0.50 * h.Total THEN h.UpToMs END) AS P50Ms,
       min(CASE WHEN h.UpToHere >= 0.95 * h.Total THEN h.UpToMs END) AS P95Ms,
       min(CASE WHEN h.UpToHere >= 0.99 * h.Total THEN h.UpToMs END) AS P99Ms,
       max(h.UpToMs) AS MaxMs
FROM (SELECT b.Hour, b.SendPort, b.UpToMs,
             sum(b.AlertCount) OVER (PARTITION BY b.Hour, b.SendPort ORDER BY b.UpToMs) AS UpToHere,
             sum(b.AlertCount) OVER (PARTITION BY b.Hour, b.SendPort) AS Total
      FROM (SELECT substr(l.Minute, 1, 13) || ':00:00.000Z' AS Hour, l.SendPort, l.UpToMs, sum(l.AlertCount) AS AlertCount
            FROM MinuteLatency l
            WHERE l.Minute >= strftime('%Y-%m-%dT%H:%M:%fZ', 'now', '-24 hours')
            GROUP BY substr(l.Minute, 1, 13) || ':00:00.000Z', l.SendPort, l.UpToMs) b) h
GROUP BY h.Hour, h.SendPort;

-- Why recipients failed or expired in the last 24 hours: by cause, send port and relay, with the number and a sample. An
-- alert that failed as a whole has no cause in ReplyExplanation; its reason is the sample.
CREATE VIEW FailureByCause AS
SELECT g.ExplanationKey, e.Fault, e.Cause, e.Advice, g.SendPort, g.Relay, g.RecipientCount, g.FirstAt, g.LastAt,
       g.SampleAlertId,
       (SELECT r.ReplyText FROM Recipient r
        WHERE r.AlertId = g.SampleAlertId AND r.Status IN ('failed', 'expired') AND r.ExplanationKey IS g.ExplanationKey
        LIMIT 1) AS Sample
FROM (SELECT r.ExplanationKey, s.SendPort, r.Relay, count(*) AS RecipientCount,
             min(r.StatusAt) AS FirstAt, max(r.StatusAt) AS LastAt, max(r.AlertId) AS SampleAlertId
      FROM Recipient r
      CROSS JOIN AlertState s ON s.AlertId = r.AlertId
      WHERE r.Status IN ('failed', 'expired') AND r.StatusAt >= strftime('%Y-%m-%dT%H:%M:%fZ', 'now', '-24 hours')
      GROUP BY r.ExplanationKey, s.SendPort, r.Relay) g
LEFT JOIN ReplyExplanation e ON e.ExplanationKey = g.ExplanationKey
UNION ALL
SELECT NULL, NULL, NULL, NULL, w.SendPort, NULL, w.AlertCount, w.FirstAt, w.LastAt, w.SampleAlertId,
       (SELECT s.StatusReason FROM AlertState s WHERE s.AlertId = w.SampleAlertId)
FROM (SELECT s.SendPort, count(*) AS AlertCount, min(s.StatusAt) AS FirstAt, max(s.StatusAt) AS LastAt,
             max(s.AlertId) AS SampleAlertId
      FROM AlertState s
      WHERE s.Status IN ('failed', 'expired') AND s.StatusAt >= strftime('%Y-%m-%dT%H:%M:%fZ', 'now', '-24 hours')
        AND NOT EXISTS (SELECT 1 FROM Recipient r WHERE r.AlertId = s.AlertId)
      GROUP BY s.SendPort) w;

-- One row per instance: whether it works, since when, what keeps it from sending, and what it holds.
CREATE VIEW InstanceStatus AS
SELECT i.Name, i.HostName, i.ProcessId, i.Version,
       CASE WHEN i.StoppedAt IS NOT NULL THEN 'stopped'
            WHEN i.LeaseUntil <= strftime('%Y-%m-%dT%H:%M:%fZ', 'now') THEN 'lost'
            WHEN i.WaitingFor IS NOT NULL THEN 'waiting' ELSE 'running' END AS State,
       i.StartedAt, i.RenewedAt, i.LeaseUntil, i.StoppedAt, i.WaitingFor,
       (SELECT count(*) FROM AlertState s WHERE s.LeaseOwner = i.InstanceId) AS LeasedCount,
       i.UnrecordedCount, i.UnrecordedSince, i.UnclaimedCount, i.UnclaimedSince
FROM Instance i;
