-- SqlServerStore::attachment_content
SELECT Content FROM sendport.AttachmentRow WHERE AlertId = @P1 AND AttachmentId = @P2;
