-- unreported: alerts that became final lately and that no digest reports, the oldest first. Reads the index of them alone: a row
-- that is damaged is not met here.
SELECT s.AlertId
FROM AlertState s
WHERE s.Status IN ('partial', 'failed', 'expired') AND s.SendPort = ?1 AND s.BodyPurged IN (0, 1) AND s.FinalAt >= ?2
  AND NOT EXISTS (SELECT 1 FROM FailureNotification t WHERE t.AlertId = s.AlertId)
ORDER BY s.FinalAt, s.AlertId
