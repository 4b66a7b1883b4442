-- purge_alerts: the oldest ones whose bodies were purged, and the day on which they became final.
SELECT s.AlertId AS AlertId, substr(s.FinalAt, 1, 10) AS Day
FROM AlertState s
WHERE s.Status = ?1 AND s.SendPort = ?2 AND s.BodyPurged = 1 AND s.FinalAt <= ?3
ORDER BY s.FinalAt, s.AlertId LIMIT ?4
