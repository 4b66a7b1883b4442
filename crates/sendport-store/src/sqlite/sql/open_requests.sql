-- open_requests: those in force. Holds and redirects stay open for as long as somebody wants; they keep no other request
-- out of the list.
SELECT *
FROM OperatorRequest
WHERE State = 'open'
ORDER BY Verb IN ('hold', 'redirect'), RequestId
LIMIT ?1
