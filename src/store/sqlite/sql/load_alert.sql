-- load: one alert, so that one that cannot be read harms no other.
SELECT a.AlertId, a.PublicId, a.ToRecipients, a.CcRecipients, a.BccRecipients, a.FromAddress, a.ReplyTo,
       a.Subject, a.Body, a.BodyFormat, a.Template, a.Payload, a.Language, a.AlertName, a.Severity, a.Source,
       a.Reference, a.SendPort, a.Priority, a.Importance, a.Sensitivity, a.Headers, a.DeliveryReceipt,
       a.ReadReceipt, a.ReplyBy, a.Protection, a.DedupKey, a.NotBefore, a.ExpiresAt, a.CreatedAt, a.CreatedBy,
       s.AttemptCount, s.TemplateVersion, s.Origin,
       CASE WHEN a.Template IS NOT NULL THEN (SELECT max(Version) FROM TemplateChange) END AS NewestTemplates,
       (SELECT count(*) FROM Attachment t WHERE t.AlertId = a.AlertId) AS AttachmentCount
FROM Alert a
JOIN AlertState s ON s.AlertId = a.AlertId
WHERE a.AlertId = ?1
