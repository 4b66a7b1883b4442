-- SqlServerStore::attachments
SELECT AttachmentId, FileName, MediaType, Disposition, ContentId, Description, TransferEncoding,
       CAST(DATALENGTH(Content) AS bigint)
FROM sendport.AttachmentRow WHERE AlertId = @P1 ORDER BY AttachmentId;
