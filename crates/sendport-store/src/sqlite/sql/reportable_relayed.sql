-- reportable: submitted messages that were relayed to a recipient that nothing was reported of. ?5: also those whose
-- client gave no NOTIFY.
SELECT s.AlertId AS AlertId, s.FinalAt AS At
FROM AlertState s
CROSS JOIN ReceivedMessage m ON m.AlertId = s.AlertId
WHERE s.FinalAt IS NOT NULL AND s.Status IN ('relayed', 'partial') AND s.SendPort = ?1 AND s.BodyPurged IN (0, 1)
  AND s.FinalAt >= ?2 AND s.FinalAt <= ?3 AND s.FinalAt > coalesce((SELECT e.AdoptedAt FROM Environment e), '')
  AND s.Origin <> 'report' AND m.ReversePath <> '' AND (?5 OR m.RecipientDsn LIKE '%success%')
  AND EXISTS (SELECT 1 FROM Recipient r
              WHERE r.AlertId = s.AlertId AND r.Status = 'relayed'
                AND NOT EXISTS (SELECT 1 FROM DeliveryReport d
                                WHERE d.AlertId = r.AlertId AND d.Ordinal = r.Ordinal AND d.Action = 'relayed'))
ORDER BY s.FinalAt, s.AlertId LIMIT ?4
