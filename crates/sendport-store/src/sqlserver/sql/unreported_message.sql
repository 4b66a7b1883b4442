-- SqlServerStore::unreported_message
-- @P1 alert, @P2 action, @P3 most recipients. Answers the message and whether it has rows of recipients, then those that
-- the action has to be reported of, each with its latest attempt.
SELECT a.CreatedAt, COALESCE(a.RequeuedAt, a.CreatedAt), a.Subject, a.ToRecipients, a.CcRecipients, a.BccRecipients,
       CAST(CASE WHEN EXISTS (SELECT 1 FROM sendport.Recipient r WITH (INDEX (PK_Recipient), FORCESEEK)
                              WHERE r.AlertId = a.AlertId) THEN 1 ELSE 0 END AS bit)
FROM sendport.AlertRow a WITH (INDEX (PK_AlertRow), FORCESEEK)
WHERE a.AlertId = @P1;
SELECT TOP (@P3) r.Ordinal, r.Address, r.Status, r.Relay, r.ReplyCode, r.EnhancedStatusCode, r.ReplyText, r.RedirectTo,
       t.ServerName, t.EndedAt, t.OffersDsn
FROM sendport.Recipient r WITH (INDEX (PK_Recipient), FORCESEEK)
LEFT JOIN sendport.Attempt t ON t.AttemptId = (SELECT MAX(x.AttemptId)
                                               FROM sendport.Attempt x
                                               JOIN sendport.AttemptReply p ON p.AttemptId = x.AttemptId
                                               WHERE x.AlertId = r.AlertId AND p.RecipientOrdinal = r.Ordinal)
WHERE r.AlertId = @P1
  AND (@P2 = N'failed' AND r.Status IN (N'failed', N'expired')
       OR @P2 = N'delayed' AND r.Status IN (N'queued', N'delayed')
       OR @P2 = N'relayed' AND r.Status = N'relayed')
  AND NOT EXISTS (SELECT 1 FROM sendport.DeliveryReport d WITH (INDEX (PK_DeliveryReport), FORCESEEK)
                  WHERE d.AlertId = r.AlertId AND d.Ordinal = r.Ordinal AND d.Action = @P2)
ORDER BY r.Ordinal;
