-- SqlServerStore::insert
-- @P1 is the alert's own PublicId, so that repeating it inserts once; where the braces
-- are, statements insert its attachments.
DECLARE @id bigint;
BEGIN TRANSACTION;
IF NOT EXISTS (SELECT 1 FROM sendport.Alert WHERE PublicId = @P1)
BEGIN
    INSERT INTO sendport.Alert (PublicId, ToRecipients, CcRecipients, BccRecipients, Subject, Body, BodyFormat,
        Template, Payload, Language, Headers, Reference, SendPort, Priority, NotBefore, ExpiresAt)
    VALUES (@P1, @P2, @P3, @P4, @P5, @P6, @P7, @P8, @P9, @P10, @P11, @P12, @P13, @P14, @P15, @P16);
    SET @id = (SELECT AlertId FROM sendport.Alert WHERE PublicId = @P1);
    {attachments}
END;
COMMIT TRANSACTION;
SELECT AlertId FROM sendport.Alert WHERE PublicId = @P1;
