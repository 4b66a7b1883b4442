-- unreported: the failed recipients of one of them; nothing where it is a digest, or no recipient failed.
SELECT s.AlertId, a.Reference, a.Subject, r.Address, coalesce(r.Status, s.Status) AS Status,
       coalesce(r.StatusAt, s.StatusAt) AS StatusAt, r.Relay,
       coalesce(coalesce('redirected to ' || r.RedirectTo || ': ', '') || coalesce(nullif(r.ReplyCode, 0) || ' ', '') || coalesce(r.EnhancedStatusCode || ' ', '') || r.ReplyText,
                s.StatusReason) AS Reply,
       e.Advice
FROM AlertState s
CROSS JOIN Alert a ON a.AlertId = s.AlertId
LEFT JOIN Recipient r ON r.AlertId = s.AlertId AND r.Status IN ('failed', 'expired')
LEFT JOIN ReplyExplanation e ON e.ExplanationKey = r.ExplanationKey
WHERE s.AlertId = ?1 AND s.Origin <> 'digest'
  AND (r.AlertId IS NOT NULL OR NOT EXISTS (SELECT 1 FROM Recipient x WHERE x.AlertId = ?1))
ORDER BY r.Ordinal
