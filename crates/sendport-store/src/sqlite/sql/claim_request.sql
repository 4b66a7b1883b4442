-- claim: the open request that keeps an alert from being sent; a cancel goes before a hold.
SELECT q.RequestId, q.Verb, q.RequestedBy, q.Comment
FROM OperatorRequest q
CROSS JOIN AlertState s ON s.AlertId = ?1
CROSS JOIN Alert a ON a.AlertId = s.AlertId
WHERE q.State = 'open' AND q.Verb IN ('cancel', 'hold')
  AND {request_matches}
ORDER BY q.Verb, q.RequestId
LIMIT 1
