-- SqlServerStore::release_held
-- @P1 request; {ids} becomes a list of parameters. What is locked is left alone. Answers how many were put back.
SET NOCOUNT ON;
SET LOCK_TIMEOUT 250;
DECLARE @now datetime2(3) = SYSUTCDATETIME(), @count int, @request bigint = @P1;
DECLARE @ids TABLE (AlertId bigint NOT NULL PRIMARY KEY);
BEGIN TRANSACTION;
INSERT @ids
SELECT a.AlertId
FROM sendport.AlertRow a WITH (READPAST, XLOCK, ROWLOCK, READCOMMITTEDLOCK, INDEX (PK_AlertRow), FORCESEEK)
WHERE a.AlertId IN ({ids}) AND a.Status = N'held';
{keep_earlier_requests}
UPDATE a
SET Status = {waiting_status},
    StatusAt = @now, StatusReason = NULL, StatusReasonCode = NULL, RequestId = @P1,
    DueAt = CASE WHEN a.NotBefore > @now THEN a.NotBefore ELSE @now END
FROM sendport.AlertRow a WITH (INDEX (PK_AlertRow), FORCESEEK) JOIN @ids i ON i.AlertId = a.AlertId
WHERE a.Status = N'held';
SET @count = @@ROWCOUNT;
IF @count > 0
    UPDATE q SET AppliedCount = q.AppliedCount + @count FROM sendport.OperatorRequest q WHERE q.RequestId = @P1;
-- A trigger of the site may leave rows as they were, and no statement fails of it.
IF EXISTS (SELECT 1 FROM sendport.AlertRow a WITH (INDEX (PK_AlertRow), FORCESEEK) JOIN @ids i ON i.AlertId = a.AlertId
           WHERE a.Status = N'held')
    THROW 50002, N'a trigger leaves its row as it was', 1;
COMMIT TRANSACTION;
SELECT @count;
