-- SqlServerStore::instances
-- @P1 limit.
DECLARE @now datetime2(3) = SYSUTCDATETIME();
SELECT TOP (@P1) Name, HostName, ProcessId, Version, StartedAt, RenewedAt, LeaseUntil, StoppedAt,
       CASE WHEN StoppedAt IS NULL AND LeaseUntil > @now THEN 1 ELSE 0 END AS Alive,
       WaitingFor, UnrecordedCount, UnrecordedSince, UnclaimedCount, UnclaimedSince
FROM sendport.Instance
ORDER BY CASE WHEN StoppedAt IS NULL AND LeaseUntil > @now THEN 0 ELSE 1 END, StartedAt DESC;
