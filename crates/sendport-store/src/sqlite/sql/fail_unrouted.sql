-- fail_unrouted: of one class, due for long.
SELECT AlertId, DueAt
FROM AlertState
WHERE SendPort = ?1 AND Priority = ?2 AND DueAt <= ?3
ORDER BY DueAt
LIMIT ?4
