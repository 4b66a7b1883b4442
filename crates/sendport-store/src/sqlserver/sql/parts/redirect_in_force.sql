-- The newest redirect in force that the alert a matches; what others have locked in this index is not committed.
SELECT TOP (1) q.RequestId AS RedirectRequestId, q.RedirectTo
FROM sendport.OperatorRequest q WITH (READPAST, READCOMMITTEDLOCK, INDEX (IX_OperatorRequest_Open), FORCESEEK)
WHERE q.State = N'open' AND q.Verb = N'redirect'
  AND (q.AlertId IS NULL OR q.AlertId = a.AlertId) AND (q.SendPort IS NULL OR q.SendPort = a.SendPort)
  AND (q.AlertName IS NULL OR q.AlertName = a.AlertName)
ORDER BY q.RequestId DESC
