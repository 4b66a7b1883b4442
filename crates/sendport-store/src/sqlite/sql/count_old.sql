-- count_old: out of the index alone.
SELECT count(CASE WHEN s.BodyPurged = 0 THEN 1 END) AS Bodies, count(*) AS Alerts
FROM AlertState s
WHERE s.Status = ?1 AND s.SendPort = ?2 AND s.BodyPurged IN (0, 1) AND s.FinalAt <= ?3
