-- open_requests: those that are in force, the oldest first.
SELECT *
FROM OperatorRequest
WHERE State = 'open'
ORDER BY RequestId
LIMIT ?1
