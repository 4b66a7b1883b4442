-- SqlServerStore::show_retention
-- @P1 instance, @P2 why it pauses, @P3 the oldest FinalAt, @P4 that of an alert with its body, @P5 1 where the round has
-- ended.
SET LOCK_TIMEOUT 250;
UPDATE r SET PausedReason = @P2, OldestFinalAt = @P3, OldestBodyAt = @P4,
             RunningSince = CASE WHEN @P5 = 0 THEN r.RunningSince END
FROM sendport.RetentionState r
WHERE r.RetentionStateId = 1 AND r.InstanceId = @P1;
