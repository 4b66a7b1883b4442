-- purge_bodies: some attachments of one alert.
DELETE FROM Attachment
WHERE AttachmentId IN (SELECT t.AttachmentId FROM Attachment t WHERE t.AlertId = ?1 LIMIT ?2)
RETURNING octet_length(Content)
