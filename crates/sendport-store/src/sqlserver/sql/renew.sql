-- SqlServerStore::renew
-- @P1 id, @P2 lease in seconds. Answers 1 if it was renewed.
DECLARE @now datetime2(3) = SYSUTCDATETIME();
UPDATE i SET RenewedAt = @now, LeaseUntil = DATEADD(second, @P2, @now)
FROM sendport.Instance i WHERE i.InstanceId = @P1 AND i.LeaseUntil > @now AND i.StoppedAt IS NULL;
SELECT @@ROWCOUNT;
