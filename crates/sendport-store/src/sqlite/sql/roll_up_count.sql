-- roll_up: the alerts of one status and send port, by minute and by the relay of their last attempt.
SELECT f.Minute, ?2, f.Relay, ?1, count(*), sum(f.Recipients), sum(f.AttemptCount)
FROM (SELECT substr(s.FinalAt, 1, 16) || ':00.000Z' AS Minute, s.AttemptCount,
             coalesce((SELECT t.Relay FROM Attempt t WHERE t.AlertId = s.AlertId ORDER BY t.AttemptId DESC LIMIT 1), '')
                 AS Relay,
             (SELECT count(*) FROM Recipient r WHERE r.AlertId = s.AlertId) AS Recipients
      FROM AlertState s
      WHERE s.Status = ?1 AND s.SendPort = ?2 AND s.BodyPurged IN (0, 1) AND s.FinalAt >= ?3 AND s.FinalAt < ?4) f
GROUP BY f.Minute, f.Relay
