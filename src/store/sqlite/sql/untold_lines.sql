-- untold: who did not get it, of the oldest alerts.
SELECT u.AlertId, a.Reference, a.Subject, r.Address, coalesce(r.Status, s.Status) AS Status,
       coalesce(r.StatusAt, s.StatusAt) AS StatusAt, r.Relay,
       coalesce(coalesce(nullif(r.ReplyCode, 0) || ' ', '') || coalesce(r.EnhancedStatusCode || ' ', '') || r.ReplyText,
                s.StatusReason) AS Reply,
       e.Advice
FROM (SELECT s.AlertId, s.FinalAt
      FROM AlertState s
      WHERE s.SendPort = ?1 AND s.FinalAt >= ?2 AND s.Status IN ('partial', 'failed', 'expired') AND s.Origin <> 'digest'
        AND NOT EXISTS (SELECT 1 FROM FailureTold t WHERE t.AlertId = s.AlertId)
        AND (EXISTS (SELECT 1 FROM Recipient r WHERE r.AlertId = s.AlertId AND r.Status IN ('failed', 'expired'))
             OR NOT EXISTS (SELECT 1 FROM Recipient r WHERE r.AlertId = s.AlertId))
      ORDER BY s.FinalAt, s.AlertId
      LIMIT ?3) u
CROSS JOIN Alert a ON a.AlertId = u.AlertId
CROSS JOIN AlertState s ON s.AlertId = u.AlertId
LEFT JOIN Recipient r ON r.AlertId = u.AlertId AND r.Status IN ('failed', 'expired')
LEFT JOIN ReplyExplanation e ON e.ExplanationKey = r.ExplanationKey
ORDER BY u.FinalAt, u.AlertId, r.Ordinal
