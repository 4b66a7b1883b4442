-- expire: older than the send port lets it become.
SELECT AlertId, CreatedAt
FROM AlertState
WHERE FinalAt IS NULL AND SendPort = ?1 AND Status = ?2 AND CreatedAt <= ?3
ORDER BY CreatedAt
LIMIT ?4
