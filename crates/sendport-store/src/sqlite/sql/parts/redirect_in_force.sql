-- The newest redirect in force that the alert a matches.
(SELECT max(o.RequestId) FROM OperatorRequest o
 WHERE o.State = 'open' AND o.Verb = 'redirect'
   AND (o.AlertId IS NULL OR o.AlertId = a.AlertId) AND (o.SendPort IS NULL OR o.SendPort = a.SendPort)
   AND (o.AlertName IS NULL OR o.AlertName = a.AlertName))
