-- SqlServerStore::request_batch
-- @P1 request, @P2 one alert, or 0 and the row behind which to go on: @P3 status, @P4 send port, @P5 CreatedAt, @P6 alert;
-- @P7 how many rows. {among} becomes a condition about AlertId, or nothing.
-- Answers AlertId, StatusAt, SendPort, the time of the request, how many recipients it has, the three lists, whether
-- the body is purged and whether it may have been sent, of those that the request changes; then how many rows were
-- met, the last one, and the next send port. READPAST: what others have locked is met in another pass. FORCESEEK: a
-- scan waits for applications that insert.
SET LOCK_TIMEOUT 250;
DECLARE @rows TABLE (AlertId bigint NOT NULL PRIMARY KEY, CreatedAt datetime2(3) NOT NULL);
DECLARE @created datetime2(3) = CONVERT(datetime2(3), @P5, 121), @count int = 0, @last datetime2(3), @alert bigint,
        @port nvarchar(64);
IF @P2 > 0
    INSERT @rows
    SELECT a.AlertId, a.CreatedAt
    FROM sendport.AlertRow a WITH (READPAST, READCOMMITTEDLOCK, INDEX (PK_AlertRow), FORCESEEK)
    WHERE a.AlertId = @P2;
ELSE
BEGIN
    -- Many alerts of one INSERT have the same CreatedAt.
    INSERT @rows
    SELECT TOP (@P7) a.AlertId, a.CreatedAt
    FROM sendport.AlertRow a WITH (READPAST, READCOMMITTEDLOCK, INDEX (IX_AlertRow_Live), FORCESEEK)
    WHERE a.Status = @P3 AND a.SendPort = @P4 AND a.BodyPurged = 0 AND a.CreatedAt = @created AND a.AlertId > @P6
    ORDER BY a.AlertId;
    SET @count = @@ROWCOUNT;
    INSERT @rows
    SELECT TOP (@P7 - @count) a.AlertId, a.CreatedAt
    FROM sendport.AlertRow a WITH (READPAST, READCOMMITTEDLOCK, INDEX (IX_AlertRow_Live), FORCESEEK)
    WHERE a.Status = @P3 AND a.SendPort = @P4 AND a.BodyPurged = 0 AND a.CreatedAt > @created
    ORDER BY a.CreatedAt, a.AlertId;
    SET @port = (SELECT MIN(a.SendPort)
                 FROM sendport.AlertRow a WITH (READPAST, READCOMMITTEDLOCK, INDEX (IX_AlertRow_Live), FORCESEEK)
                 WHERE a.Status = @P3 AND a.SendPort > @P4);
END;

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

SET @count = (SELECT COUNT(*) FROM @rows);
SET @last = (SELECT MAX(n.CreatedAt) FROM @rows n);
SET @alert = (SELECT MAX(n.AlertId) FROM @rows n WHERE n.CreatedAt = @last);
SELECT @count, CONVERT(nvarchar(30), @last, 121), @alert, @port;
