-- reportable: submitted messages that are not final long after they came, and that no report says this of. ?5: also those
-- whose client gave no NOTIFY.
SELECT s.AlertId AS AlertId, s.CreatedAt AS At
FROM AlertState s
CROSS JOIN ReceivedMessage m ON m.AlertId = s.AlertId
WHERE s.FinalAt IS NULL AND s.SendPort = ?1 AND s.Status IN ('queued', 'sending', 'delayed')
  AND s.CreatedAt >= ?2 AND s.CreatedAt <= ?3 AND s.CreatedAt > coalesce((SELECT e.AdoptedAt FROM Environment e), '')
  AND s.Origin <> 'report' AND m.ReversePath <> '' AND (?5 OR m.RecipientDsn LIKE '%delay%')
  AND NOT EXISTS (SELECT 1 FROM DeliveryReport d WHERE d.AlertId = s.AlertId AND d.Action = 'delayed')
ORDER BY s.CreatedAt, s.AlertId LIMIT ?4
