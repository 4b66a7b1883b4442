-- The status of an alert a that goes back into the queue.
CASE WHEN EXISTS (SELECT 1 FROM sendport.Recipient r WITH (INDEX (PK_Recipient), FORCESEEK)
                  WHERE r.AlertId = a.AlertId AND r.Status = N'delayed')
     THEN N'delayed' ELSE N'queued' END
