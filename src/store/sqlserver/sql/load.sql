-- SqlServerStore::load
-- {ids} becomes a list of parameters.
SELECT AlertId, PublicId, ToRecipients, CcRecipients, BccRecipients, FromAddress, ReplyTo, Subject, Body,
       BodyFormat, Template, Payload, Language, AlertName, Severity, Source, Reference, SendPort, Priority,
       Importance, Sensitivity, Headers, DeliveryReceipt, ReadReceipt, ReplyBy, Protection, DedupKey,
       NotBefore, ExpiresAt, CreatedAt, CreatedBy, AttemptCount, TemplateVersion, Origin,
       CASE WHEN Template IS NOT NULL THEN (SELECT MAX(n.Version) FROM sendport.TemplateChange n) END,
       (SELECT COUNT(*) FROM sendport.AttachmentRow t WHERE t.AlertId = a.AlertId)
FROM sendport.AlertRow a WHERE AlertId IN ({ids});
SELECT AlertId, Ordinal, Kind, Address, DisplayName, Status, AttemptCount,
       Relay, Command, ReplyCode, EnhancedStatusCode, ReplyText
FROM sendport.Recipient WHERE AlertId IN ({ids}) ORDER BY AlertId, Ordinal;
