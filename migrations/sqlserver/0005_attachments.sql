-- Files that go with an alert, inserted in the alert's transaction.
SET QUOTED_IDENTIFIER ON;
SET ANSI_NULLS ON;
GO
-- 1 where whoever asks inserted the alert and it waits for its first attempt. The lock keeps it
-- from being claimed until the transaction ends, so that nothing is added behind a claim.
CREATE FUNCTION sendport.TakesAttachments (@AlertId bigint) RETURNS int AS
BEGIN
    DECLARE @takes int = 0;
    SELECT @takes = 1 FROM sendport.AlertStatus s WITH (UPDLOCK)
    WHERE s.AlertId = @AlertId AND s.Status = N'queued' AND s.AttemptCount = 0 AND s.CreatedBy = SUSER_SNAME();
    RETURN @takes;
END;
GO
-- Nobody but the service looks here; applications have the view Attachment. A content longer
-- than 8,000 bytes stands off the row.
CREATE TABLE sendport.AttachmentRow (
    AttachmentId     bigint IDENTITY(1, 1) NOT NULL,
    AlertId          bigint NOT NULL,
    FileName         nvarchar(255) NULL,
    MediaType        nvarchar(255) NULL,
    Content          varbinary(max) NOT NULL,
    Disposition      nvarchar(16) COLLATE Latin1_General_BIN2 NOT NULL CONSTRAINT DF_Attachment_Disposition DEFAULT N'attachment',
    ContentId        nvarchar(255) COLLATE Latin1_General_BIN2 NULL,
    Description      nvarchar(400) NULL,
    TransferEncoding nvarchar(16) COLLATE Latin1_General_BIN2 NOT NULL CONSTRAINT DF_Attachment_TransferEncoding DEFAULT N'base64',
    CONSTRAINT PK_Attachment PRIMARY KEY (AlertId, AttachmentId),
    CONSTRAINT CK_Attachment_Disposition CHECK (LOWER(Disposition) IN (N'attachment', N'inline')),
    CONSTRAINT CK_Attachment_TransferEncoding CHECK (LOWER(TransferEncoding) IN (N'base64', N'quoted-printable', N'7bit'))
);
GO
-- By itself, because not every engine finds the function from within CREATE TABLE.
ALTER TABLE sendport.AttachmentRow ADD CONSTRAINT CK_Attachment_needs_your_alert_before_its_first_attempt
    CHECK (sendport.TakesAttachments(AlertId) = 1);
GO
-- They go with their alert. Babelfish checks a foreign key with the rights of whoever inserts.
IF SERVERPROPERTY(N'Babelfish') IS NULL
    EXEC (N'ALTER TABLE sendport.AttachmentRow ADD CONSTRAINT FK_Attachment_Alert
            FOREIGN KEY (AlertId) REFERENCES sendport.AlertRow (AlertId) ON DELETE CASCADE')
ELSE
    EXEC (N'CREATE TRIGGER sendport.TR_AlertRow_Delete ON sendport.AlertRow AFTER DELETE AS
            DELETE FROM sendport.AttachmentRow WHERE AlertId IN (SELECT d.AlertId FROM deleted d)');
GO
-- Where applications insert, in the transaction that inserts the alert. A writer sees what belongs
-- to its own alerts.
CREATE VIEW sendport.Attachment AS
SELECT AttachmentId, AlertId, FileName, MediaType, Content, Disposition, ContentId, Description, TransferEncoding,
       DATALENGTH(Content) AS SizeOctets
FROM sendport.AttachmentRow
WHERE AlertId IN (SELECT a.AlertId FROM sendport.Alert a);
GO
GRANT SELECT, INSERT ON sendport.Attachment TO sendport_writer;
GRANT EXECUTE ON sendport.TakesAttachments TO sendport_writer;
GRANT SELECT ON sendport.Attachment TO sendport_reader;
GRANT SELECT ON sendport.AttachmentRow TO sendport_reader;
GRANT SELECT, INSERT ON sendport.Attachment TO sendport_service;
GRANT SELECT, DELETE ON sendport.AttachmentRow TO sendport_service;
GRANT EXECUTE ON sendport.TakesAttachments TO sendport_service;
GO
