-- requests_in_force: of the alert ?1, which is claimed, the redirect in force, and whether a cancel or a hold keeps it
-- from being sent. A request with a status is about alerts that wait.
SELECT max(CASE q.Verb WHEN 'redirect' THEN q.RequestId END) AS RedirectRequestId,
       coalesce(max(q.Verb <> 'redirect'), 0) AS KeepsFromSending
FROM OperatorRequest q
CROSS JOIN AlertState s ON s.AlertId = ?1
CROSS JOIN Alert a ON a.AlertId = s.AlertId
WHERE q.State = 'open' AND q.Verb IN ('cancel', 'hold', 'redirect') AND q.Status IS NULL
  AND {request_matches}
