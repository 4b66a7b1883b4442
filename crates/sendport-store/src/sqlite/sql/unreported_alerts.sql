-- unreported: alerts that became final lately and that no digest reports, the oldest first. Reads the index of them alone: a row
-- that is damaged is not met here.
SELECT s.AlertId
FROM AlertState s
WHERE s.SendPort = ?1 AND s.FinalAt >= ?2 AND s.Status IN ('partial', 'failed', 'expired')
  AND NOT EXISTS (SELECT 1 FROM FailureNotification t WHERE t.AlertId = s.AlertId)
ORDER BY s.FinalAt, s.AlertId
