-- SqlServerStore::retire
-- @P1 id. What it held is due at once; no attempt is spent.
DECLARE @now datetime2(3) = SYSUTCDATETIME();
BEGIN TRANSACTION;
UPDATE a
SET Status = CASE WHEN EXISTS (SELECT 1 FROM sendport.Recipient r WHERE r.AlertId = a.AlertId AND r.Status = N'delayed')
                  THEN N'delayed' ELSE N'queued' END,
    StatusAt = @now, DueAt = @now, LeaseToken = NULL, LeaseOwner = NULL, LeasedAt = NULL
FROM sendport.AlertRow a WHERE a.LeaseOwner = @P1;
DELETE FROM sendport.RelayState WHERE InstanceId = @P1;
UPDATE i SET StoppedAt = @now, LeaseUntil = CASE WHEN i.LeaseUntil > @now THEN @now ELSE i.LeaseUntil END
FROM sendport.Instance i WHERE i.InstanceId = @P1 AND i.StoppedAt IS NULL;
COMMIT TRANSACTION;
