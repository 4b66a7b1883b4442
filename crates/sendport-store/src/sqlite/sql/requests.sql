-- requests: the latest.
SELECT *
FROM OperatorRequest
ORDER BY RequestId DESC
LIMIT ?1
