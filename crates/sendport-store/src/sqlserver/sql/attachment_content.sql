-- SqlServerStore::attachment_content
-- @P1 alert, @P2 attachment, @P3 first octet counted from 1, @P4 how many.
SELECT SUBSTRING(Content, @P3, @P4) FROM sendport.AttachmentRow WITH (INDEX (PK_AttachmentRow), FORCESEEK)
WHERE AlertId = @P1 AND AttachmentId = @P2;
