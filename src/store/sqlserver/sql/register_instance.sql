-- SqlServerStore::register
-- @P1 id, @P2 name, @P3 host, @P4 process, @P5 version, @P6 lease in seconds.
DECLARE @now datetime2(3) = SYSUTCDATETIME();
BEGIN TRANSACTION;
UPDATE i SET Name = @P2, HostName = @P3, ProcessId = @P4, Version = @P5, RenewedAt = @now,
    LeaseUntil = DATEADD(second, @P6, @now), StoppedAt = NULL
FROM sendport.Instance i WHERE i.InstanceId = @P1;
IF @@ROWCOUNT = 0
    INSERT INTO sendport.Instance (InstanceId, Name, HostName, ProcessId, Version, StartedAt, RenewedAt, LeaseUntil)
    VALUES (@P1, @P2, @P3, @P4, @P5, @now, @now, DATEADD(second, @P6, @now));
COMMIT TRANSACTION;
