-- SqlServerStore::begin_retention
-- @P1 instance, @P2 milliseconds of the lease. Answers 1 where the instance has the lease now.
SET LOCK_TIMEOUT 250;
DECLARE @now datetime2(3) = SYSUTCDATETIME();
DECLARE @until datetime2(3) = DATEADD(millisecond, @P2, @now);
BEGIN TRANSACTION;
{lock_retention}
UPDATE r SET InstanceId = @P1, LeaseUntil = @until,
             RunningSince = CASE WHEN r.InstanceId = @P1 THEN COALESCE(r.RunningSince, @now) ELSE @now END
FROM sendport.RetentionState r
WHERE r.RetentionStateId = 1 AND (r.InstanceId = @P1 OR r.LeaseUntil IS NULL OR r.LeaseUntil <= @now);
COMMIT TRANSACTION;
SELECT CAST(COUNT(*) AS int) FROM sendport.RetentionState r
WHERE r.RetentionStateId = 1 AND r.InstanceId = @P1 AND r.LeaseUntil = @until;
