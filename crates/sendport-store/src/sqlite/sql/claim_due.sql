-- claim: the oldest of one class that are due, one seek; none for an instance that an adoption has forgotten.
SELECT AlertId, DueAt
FROM AlertState
WHERE SendPort = ?1 AND Priority = ?2 AND DueAt <= ?3 AND (SELECT 1 FROM Instance WHERE InstanceId = ?5)
ORDER BY DueAt, AlertId
LIMIT ?4
