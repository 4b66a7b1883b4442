-- Files that go with an alert, inserted in the alert's transaction.
SET QUOTED_IDENTIFIER ON;
SET ANSI_NULLS ON;
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
    CONSTRAINT CK_Attachment_Disposition_attachment_or_inline CHECK (LOWER(Disposition) IN (N'attachment', N'inline')),
    CONSTRAINT [CK_Attachment_TransferEncoding_base64_quoted-printable_or_7bit] CHECK (LOWER(TransferEncoding) IN (N'base64', N'quoted-printable', N'7bit'))
);
GO
-- They go with their alert. Babelfish checks a foreign key with the rights of whoever inserts.
IF SERVERPROPERTY(N'Babelfish') IS NULL
    EXEC (N'ALTER TABLE sendport.AttachmentRow ADD CONSTRAINT FK_Attachment_Alert
            FOREIGN KEY (AlertId) REFERENCES sendport.AlertRow (AlertId) ON DELETE CASCADE')
ELSE
    EXEC (N'CREATE TRIGGER sendport.TR_AlertRow_Delete ON sendport.AlertRow AFTER DELETE AS
            DELETE FROM sendport.AttachmentRow WHERE AlertId IN (SELECT d.AlertId FROM deleted d)');
GO
-- Where applications insert, in the transaction that inserts the alert: for an alert of their own that waits for
-- its first attempt. CHECK OPTION looks once, when a row comes; a CHECK of the table would be looked at
-- again, by an import or a repair, when the alert was sent long ago. The lock keeps the alert from being
-- claimed until the transaction ends, so that nothing is added behind a claim; by a seek, so that it is the
-- only one that is locked. What was inserted is read in AttachmentRow.
CREATE VIEW sendport.Attachment (
    AttachmentId, AlertId, FileName, MediaType, Content, Disposition, ContentId, Description, TransferEncoding) AS
SELECT AttachmentId, AlertId, FileName, MediaType, Content, Disposition, ContentId, Description, TransferEncoding
FROM sendport.AttachmentRow r
WHERE EXISTS (SELECT 1 FROM sendport.AlertRow a WITH (UPDLOCK, ROWLOCK, FORCESEEK (PK_Alert (AlertId)))
              WHERE a.AlertId = r.AlertId AND a.Status = N'queued' AND a.AttemptCount = 0
                AND a.CreatedBy = SUSER_SNAME())
WITH CHECK OPTION;
GO
GRANT INSERT ON sendport.Attachment TO sendport_writer;
GRANT SELECT (AttachmentId, AlertId) ON sendport.Attachment TO sendport_writer;
GRANT SELECT ON sendport.AttachmentRow TO sendport_reader;
GRANT SELECT, INSERT ON sendport.Attachment TO sendport_service;
GRANT SELECT, DELETE ON sendport.AttachmentRow TO sendport_service;
GO
