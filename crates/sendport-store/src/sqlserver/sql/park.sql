-- SqlServerStore::park
-- @P1 request, @P2 reason, @P3 its code; {ids} becomes a list of parameters. Those that wait leave the queue until a
-- release. What is locked is left alone. Answers how many.
SET NOCOUNT ON;
SET LOCK_TIMEOUT 250;
DECLARE @now datetime2(3) = SYSUTCDATETIME(), @count int, @request bigint = @P1;
DECLARE @ids TABLE (AlertId bigint NOT NULL PRIMARY KEY);
BEGIN TRANSACTION;
INSERT @ids
SELECT a.AlertId
FROM sendport.AlertRow a WITH (READPAST, XLOCK, ROWLOCK, READCOMMITTEDLOCK, INDEX (PK_AlertRow), FORCESEEK)
WHERE a.AlertId IN ({ids}) AND a.Status IN (N'queued', N'delayed') AND a.LeaseToken IS NULL;
{keep_earlier_requests}
UPDATE a
SET Status = N'held', StatusAt = @now, DueAt = NULL, StatusReason = @P2, StatusReasonCode = @P3, RequestId = @P1
FROM sendport.AlertRow a WITH (INDEX (PK_AlertRow), FORCESEEK) JOIN @ids i ON i.AlertId = a.AlertId
WHERE a.Status IN (N'queued', N'delayed');
SET @count = @@ROWCOUNT;
IF @count > 0
    UPDATE q SET AppliedCount = q.AppliedCount + @count FROM sendport.OperatorRequest q WHERE q.RequestId = @P1;
IF EXISTS (SELECT 1 FROM sendport.AlertRow a WITH (INDEX (PK_AlertRow), FORCESEEK) JOIN @ids i ON i.AlertId = a.AlertId
           WHERE a.Status IN (N'queued', N'delayed'))
    THROW 50002, N'a trigger leaves its row as it was', 1;
COMMIT TRANSACTION;
SELECT @count;
