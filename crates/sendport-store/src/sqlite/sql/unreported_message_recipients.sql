-- unreported_message: its recipients that ?2 has to be reported of, each with its latest attempt.
SELECT r.Ordinal, r.Address, r.Status, r.Relay, r.ReplyCode, r.EnhancedStatusCode, r.ReplyText, r.RedirectTo,
       t.ServerName, t.EndedAt, t.OffersDsn
FROM Recipient r
LEFT JOIN Attempt t ON t.AttemptId = (SELECT max(x.AttemptId)
                                      FROM Attempt x
                                      CROSS JOIN AttemptReply p ON p.AttemptId = x.AttemptId
                                      WHERE x.AlertId = r.AlertId AND p.RecipientOrdinal = r.Ordinal)
WHERE r.AlertId = ?1
  AND CASE ?2 WHEN 'failed' THEN r.Status IN ('failed', 'expired')
              WHEN 'delayed' THEN r.Status IN ('queued', 'delayed') ELSE r.Status = 'relayed' END
  AND NOT EXISTS (SELECT 1 FROM DeliveryReport d
                  WHERE d.AlertId = r.AlertId AND d.Ordinal = r.Ordinal AND d.Action = ?2)
ORDER BY r.Ordinal LIMIT ?3
