-- roll_up: the latencies of one status and send port; ?5 is a JSON array of the bounds.
WITH Bound (UpToMs) AS MATERIALIZED (SELECT value FROM json_each(?5))
SELECT l.Minute, ?2, coalesce((SELECT min(b.UpToMs) FROM Bound b WHERE b.UpToMs >= l.Ms),
                              (SELECT max(b.UpToMs) FROM Bound b)) AS UpTo, count(*)
FROM (SELECT substr(s.FinalAt, 1, 16) || ':00.000Z' AS Minute,
             CAST(round((julianday(s.FinalAt)
                         - julianday(coalesce(s.RequeuedAt, max(s.CreatedAt, coalesce(a.NotBefore, s.CreatedAt)))))
                        * 86400000) AS INTEGER) AS Ms
      FROM AlertState s
      JOIN Alert a ON a.AlertId = s.AlertId
      WHERE s.Status = ?1 AND s.SendPort = ?2 AND s.BodyPurged IN (0, 1) AND s.FinalAt >= ?3 AND s.FinalAt < ?4) l
GROUP BY l.Minute, UpTo
