-- load: one alert, so that one that cannot be read harms no other. Texts of more than ?2 octets
-- are left out, and LargeOctets says how long they and the attachments are.
SELECT a.AlertId, a.PublicId, a.ToRecipients, a.CcRecipients, a.BccRecipients, a.FromAddress, a.ReplyTo,
       a.Subject,
       CASE WHEN coalesce(octet_length(a.Body), 0) + coalesce(octet_length(a.Payload), 0) <= ?2 THEN a.Body END AS Body,
       a.BodyFormat, a.Template,
       CASE WHEN coalesce(octet_length(a.Body), 0) + coalesce(octet_length(a.Payload), 0) <= ?2 THEN a.Payload END AS Payload,
       a.Language, a.AlertName, a.Severity, a.Source,
       a.Reference, a.SendPort, a.Priority, a.Importance, a.Sensitivity, a.Headers, a.DeliveryReceipt,
       a.ReadReceipt, a.ReplyBy, a.Protection, a.DedupKey, a.NotBefore, a.ExpiresAt, a.FileAttachments,
       s.FilesStoredAt IS NOT NULL AS FilesStored,
       a.CreatedAt, a.CreatedBy,
       s.AttemptCount, s.RequeuedAt, s.AttemptsBefore, s.MessageGeneration, s.TemplateVersion, s.Origin,
       CASE WHEN a.Template IS NOT NULL THEN (SELECT max(Version) FROM TemplateChange) END AS NewestTemplates,
       (SELECT count(*) FROM Attachment t WHERE t.AlertId = a.AlertId) AS AttachmentCount,
       CASE WHEN coalesce(octet_length(a.Body), 0) + coalesce(octet_length(a.Payload), 0) > ?2
            THEN coalesce(octet_length(a.Body), 0) + coalesce(octet_length(a.Payload), 0)
                 + coalesce((SELECT sum(octet_length(t.Content)) FROM Attachment t WHERE t.AlertId = a.AlertId), 0)
       END AS LargeOctets,
       q.RequestId AS RedirectRequestId, q.RedirectTo
FROM Alert a
JOIN AlertState s ON s.AlertId = a.AlertId
LEFT JOIN OperatorRequest q ON q.RequestId = {redirect_in_force}
WHERE a.AlertId = ?1
