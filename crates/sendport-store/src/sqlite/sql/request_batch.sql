-- request_batch: the next rows, and which of them the request ?1 changes. {keys} seeks behind ?2 to ?5.
SELECT k.AlertId, k.SendPort, k.Status, k.CreatedAt, s.BodyPurgedAt IS NOT NULL AS IsPurged,
       ({request_applies}) AS Applies
FROM ({keys}) k
CROSS JOIN OperatorRequest q ON q.RequestId = ?1
CROSS JOIN AlertState s ON s.AlertId = k.AlertId
CROSS JOIN Alert a ON a.AlertId = k.AlertId
ORDER BY {order}
