-- claim: the oldest of one class that are due, one seek.
SELECT AlertId, DueAt
FROM AlertState
WHERE SendPort = ?1 AND Priority = ?2 AND DueAt <= ?3
ORDER BY DueAt, AlertId
LIMIT ?4
