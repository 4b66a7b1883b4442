-- untold: how many alerts there are in all.
SELECT count(*)
FROM AlertState s
WHERE s.SendPort = ?1 AND s.FinalAt >= ?2 AND s.Status IN ('partial', 'failed', 'expired') AND s.Origin <> 'digest'
  AND NOT EXISTS (SELECT 1 FROM FailureTold t WHERE t.AlertId = s.AlertId)
  AND (EXISTS (SELECT 1 FROM Recipient r WHERE r.AlertId = s.AlertId AND r.Status IN ('failed', 'expired'))
       OR NOT EXISTS (SELECT 1 FROM Recipient r WHERE r.AlertId = s.AlertId))
