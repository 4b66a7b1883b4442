-- expire: older than the send port lets it become. The age counts from the insert or the latest requeue, or from a later
-- NotBefore.
SELECT s.AlertId, max(coalesce(s.RequeuedAt, s.CreatedAt), coalesce(a.NotBefore, s.CreatedAt)) AS Since
FROM AlertState s
CROSS JOIN Alert a ON a.AlertId = s.AlertId
WHERE s.FinalAt IS NULL AND s.SendPort = ?1 AND s.Status = ?2 AND s.CreatedAt <= ?3
  AND (s.RequeuedAt IS NULL OR s.RequeuedAt <= ?3) AND (a.NotBefore IS NULL OR a.NotBefore <= ?3)
ORDER BY s.CreatedAt
LIMIT ?4
