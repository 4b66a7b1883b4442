-- Files that go with an alert, inserted in the alert's transaction.

CREATE TABLE Attachment (
    AttachmentId     INTEGER PRIMARY KEY AUTOINCREMENT,
    AlertId          INTEGER NOT NULL REFERENCES Alert (AlertId) ON DELETE CASCADE,
    FileName         TEXT,
    MediaType        TEXT,
    Disposition      TEXT COLLATE RTRIM NOT NULL DEFAULT 'attachment',
    ContentId        TEXT COLLATE RTRIM,
    Description      TEXT,
    TransferEncoding TEXT COLLATE RTRIM NOT NULL DEFAULT 'base64',
    -- Last, so that the others are read without it.
    Content          BLOB NOT NULL,
    CONSTRAINT CK_Attachment_Disposition_attachment_or_inline CHECK (lower(Disposition) COLLATE RTRIM IN ('attachment', 'inline')),
    CONSTRAINT "CK_Attachment_TransferEncoding_base64_quoted-printable_or_7bit" CHECK (lower(TransferEncoding) COLLATE RTRIM IN ('base64', 'quoted-printable', '7bit')),
    CONSTRAINT CK_Attachment_FileName_at_most_255_characters CHECK (length(FileName) <= 255),
    CONSTRAINT CK_Attachment_MediaType_at_most_255_characters CHECK (length(MediaType) <= 255),
    CONSTRAINT CK_Attachment_ContentId_at_most_255_characters CHECK (length(ContentId) <= 255),
    CONSTRAINT CK_Attachment_Description_at_most_400_characters CHECK (length(Description) <= 400)
) STRICT;

CREATE INDEX IX_Attachment_AlertId ON Attachment (AlertId);

-- An alert that was claimed once is the same in every attempt: nothing can be added to it.
CREATE TRIGGER TR_Attachment_Insert BEFORE INSERT ON Attachment
WHEN NOT EXISTS (SELECT 1 FROM AlertState s
                 WHERE s.AlertId = NEW.AlertId AND s.Status = 'queued' AND s.AttemptCount = 0)
BEGIN
    SELECT RAISE(ABORT, 'an attachment needs an alert that waits for its first attempt: insert both in one transaction, the alert first');
END;

CREATE TRIGGER TR_Attachment_Update BEFORE UPDATE ON Attachment
BEGIN
    SELECT RAISE(ABORT, 'an attachment cannot be changed: insert a new alert');
END;

-- It goes with its alert, and not before.
CREATE TRIGGER TR_Attachment_Delete BEFORE DELETE ON Attachment
WHEN EXISTS (SELECT 1 FROM Alert a JOIN AlertState s ON s.AlertId = a.AlertId
             WHERE a.AlertId = OLD.AlertId AND s.FinalAt IS NULL)
BEGIN
    SELECT RAISE(ABORT, 'an attachment of an alert that is not final cannot be deleted');
END;
