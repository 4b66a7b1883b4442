-- SqlServerStore::load
-- {ids} becomes a list of parameters. Texts of more than {limit} octets are left out, and the last
-- column says how long they and the attachments are. READPAST: what others have locked is missing now, and
-- released. Recipients and attachments are all there or awaited. FORCESEEK: a scan waits for applications that insert.
SET LOCK_TIMEOUT 250;
SELECT AlertId, PublicId, ToRecipients, CcRecipients, BccRecipients, FromAddress, ReplyTo, Subject,
       CASE WHEN ISNULL(DATALENGTH(Body), 0) + ISNULL(DATALENGTH(Payload), 0) <= {limit} THEN Body END,
       BodyFormat, Template,
       CASE WHEN ISNULL(DATALENGTH(Body), 0) + ISNULL(DATALENGTH(Payload), 0) <= {limit} THEN Payload END,
       Language, AlertName, Severity, Source, Reference, SendPort, Priority,
       Importance, Sensitivity, Headers, DeliveryReceipt, ReadReceipt, ReplyBy, Protection, DedupKey,
       NotBefore, ExpiresAt, FileAttachments,
       CAST(CASE WHEN FilesStoredAt IS NOT NULL THEN 1 ELSE 0 END AS bit), CreatedAt, CreatedBy, AttemptCount, RequeuedAt, AttemptsBefore,
       MessageGeneration, TemplateVersion, Origin,
       CASE WHEN Template IS NOT NULL THEN (SELECT MAX(n.Version) FROM sendport.TemplateChange n) END,
       (SELECT COUNT(*) FROM sendport.AttachmentRow t WITH (INDEX (PK_AttachmentRow), FORCESEEK) WHERE t.AlertId = a.AlertId),
       CASE WHEN ISNULL(DATALENGTH(Body), 0) + ISNULL(DATALENGTH(Payload), 0) > {limit}
            THEN CAST(ISNULL(DATALENGTH(Body), 0) + ISNULL(DATALENGTH(Payload), 0)
                 + ISNULL((SELECT SUM(CAST(DATALENGTH(t.Content) AS bigint))
                           FROM sendport.AttachmentRow t WITH (INDEX (PK_AttachmentRow), FORCESEEK) WHERE t.AlertId = a.AlertId), 0) AS bigint)
       END,
       d.RedirectRequestId, d.RedirectTo
FROM sendport.AlertRow a WITH (READPAST, READCOMMITTEDLOCK, INDEX (PK_AlertRow), FORCESEEK)
OUTER APPLY ({redirect_in_force}) d
WHERE AlertId IN ({ids});
SELECT AlertId, Ordinal, Kind, Address, DisplayName, Status, AttemptCount, WasRelayed
FROM sendport.Recipient WITH (INDEX (PK_Recipient), FORCESEEK)
WHERE AlertId IN ({ids}) ORDER BY AlertId, Ordinal;
