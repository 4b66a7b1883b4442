-- expire: past the alert's own ExpiresAt.
SELECT AlertId, ExpiresAt
FROM AlertState
WHERE ExpiresAt <= ?1 AND Status IN ('queued', 'delayed', 'held')
ORDER BY ExpiresAt
LIMIT ?2
