-- attachments: length() of a blob does not read it.
SELECT AttachmentId, FileName, MediaType, Disposition, ContentId, Description, TransferEncoding,
       length(Content) AS SizeBytes
FROM Attachment
WHERE AlertId = ?1
ORDER BY AttachmentId
