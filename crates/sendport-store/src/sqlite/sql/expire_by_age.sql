-- expire: older than the send port lets it become. A requeue starts the age anew.
SELECT AlertId, coalesce(RequeuedAt, CreatedAt) AS Since
FROM AlertState
WHERE FinalAt IS NULL AND SendPort = ?1 AND Status = ?2 AND CreatedAt <= ?3
  AND (RequeuedAt IS NULL OR RequeuedAt <= ?3)
ORDER BY CreatedAt
LIMIT ?4
