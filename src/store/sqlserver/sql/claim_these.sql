-- SqlServerStore::claim, where a lock was waited for in vain.
-- @P1 instance, @P2 token; {ids} becomes a list of parameters. Answers which of them were taken.
SET LOCK_TIMEOUT 250;
DECLARE @now datetime2(3) = SYSUTCDATETIME();
BEGIN TRANSACTION;
UPDATE a
SET Status = N'sending', StatusAt = @now, StatusReason = NULL, DueAt = NULL,
    LeaseToken = @P2, LeaseOwner = @P1, LeasedAt = @now
FROM sendport.AlertRow a WITH (INDEX (PK_Alert), FORCESEEK)
WHERE a.AlertId IN ({ids}) AND a.DueAt <= @now;
COMMIT TRANSACTION;
SELECT a.AlertId FROM sendport.AlertRow a WITH (READPAST, READCOMMITTEDLOCK, INDEX (PK_Alert), FORCESEEK)
WHERE a.AlertId IN ({ids}) AND a.LeaseToken = @P2 AND a.LeaseOwner = @P1;
