-- SqlServerStore::request_batch
-- @P1 request, @P2 one alert, or 0 and the row behind which to go on: @P3 status, @P4 send port, @P5 CreatedAt, @P6 alert;
-- @P7 how many rows, @P8 0 (their bodies are there). {among} becomes a condition about AlertId, or nothing.
-- Answers AlertId, StatusAt, SendPort, the time of the request, how many recipients it has, the three lists, whether
-- the body is purged and whether it may have been sent, of those that the request changes; then how many rows were
-- met, the last one, and the next send port. READPAST: what others have locked is met in another pass. FORCESEEK: a
-- scan waits for applications that insert.
SET LOCK_TIMEOUT 250;
{request_rows}

SELECT a.AlertId, a.StatusAt, a.SendPort, q.RequestedAt,
       (SELECT COUNT(*) FROM sendport.Recipient r WITH (READUNCOMMITTED, INDEX (PK_Recipient), FORCESEEK) WHERE r.AlertId = a.AlertId),
       a.ToRecipients, a.CcRecipients, a.BccRecipients,
       CASE WHEN a.BodyPurgedAt IS NULL THEN 0 ELSE 1 END,
       CASE WHEN a.AttemptCount > 0 AND EXISTS (SELECT 1 FROM sendport.InDoubt d WHERE d.AlertId = a.AlertId) THEN 1 ELSE 0 END
FROM @rows n
JOIN sendport.AlertRow a WITH (READPAST, READCOMMITTEDLOCK, INDEX (PK_AlertRow), FORCESEEK) ON a.AlertId = n.AlertId
JOIN sendport.OperatorRequest q ON q.RequestId = @P1
WHERE {request_applies}
  {among}
ORDER BY a.AlertId;

{request_end}
