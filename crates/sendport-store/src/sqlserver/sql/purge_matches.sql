-- SqlServerStore::purge_matches
-- @P1 request, @P2 one alert, or 0 and the row behind which to go on: @P3 status, @P4 send port, @P5 CreatedAt, @P6 alert;
-- @P7 how many rows, @P8 0 with their bodies and 1 without. Answers status, send port and AlertId of those that the request
-- deletes; then how many rows were met, the last one, and the next send port. READPAST and FORCESEEK as in request_batch.
SET LOCK_TIMEOUT 250;
{request_rows}

SELECT a.Status, a.SendPort, a.AlertId
FROM @rows n
JOIN sendport.AlertRow a WITH (READPAST, READCOMMITTEDLOCK, INDEX (PK_AlertRow), FORCESEEK) ON a.AlertId = n.AlertId
JOIN sendport.OperatorRequest q ON q.RequestId = @P1
WHERE {request_applies}
ORDER BY a.Status, a.SendPort, a.AlertId;

{request_end}
