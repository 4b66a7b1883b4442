-- purge_alerts: some replies of one alert.
DELETE FROM AttemptReply
WHERE (AttemptId, Ordinal) IN (SELECT p.AttemptId, p.Ordinal
                               FROM Attempt t
                               CROSS JOIN AttemptReply p ON p.AttemptId = t.AttemptId
                               WHERE t.AlertId = ?1 LIMIT ?2)
