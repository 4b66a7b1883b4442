-- count_matching: as if the request were there already; it is in force for what is being sent, too.
SELECT s.SendPort, s.Status, count(*) AS Alerts
FROM (SELECT 9223372036854775807 AS RequestId, ?1 AS Verb, ?2 AS AlertId, ?3 AS SendPort, ?4 AS AlertName,
             ?5 AS Reference, ?6 AS CreatedBy, ?7 AS Relay, ?8 AS ExplanationKey, ?9 AS Status, ?10 AS CreatedFrom,
             ?11 AS CreatedUntil, ?12 AS HoldRequestId, ?13 AS MatchesAll, ?14 AS Recipients, ?15 AS RequestedAt,
             min(coalesce(?16, ?15), strftime('%Y-%m-%dT%H:%M:%fZ', ?15, '-1 hour')) AS FinalBefore, ?17 AS BodiesOnly) q
CROSS JOIN AlertState s ON s.AlertId BETWEEN coalesce(q.AlertId, 0) AND coalesce(q.AlertId, 9223372036854775807)
CROSS JOIN Alert a ON a.AlertId = s.AlertId
WHERE {request_applies}
   OR q.Verb IN ('cancel', 'hold', 'redirect') AND s.Status = 'sending' AND {request_matches}
GROUP BY s.SendPort, s.Status
ORDER BY s.SendPort, s.Status
