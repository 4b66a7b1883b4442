-- SqlServerStore::attachments
SELECT AttachmentId, FileName, MediaType, Disposition, ContentId, Description, TransferEncoding,
       CAST(DATALENGTH(Content) AS bigint)
FROM sendport.AttachmentRow WITH (INDEX (PK_AttachmentRow), FORCESEEK) WHERE AlertId = @P1 ORDER BY AttachmentId;
