-- SqlServerStore::register
-- @P1 id, @P2 name, @P3 host, @P4 process, @P5 version, @P6 lease in seconds, @P7 its environment.
-- Answers the environment that the database belongs to, or NULL; nothing is written where it is another one.
-- An adoption waits for the lock until the row is written, and deletes it.
DECLARE @now datetime2(3) = SYSUTCDATETIME();
DECLARE @environment nvarchar(128);
BEGIN TRANSACTION;
SELECT @environment = e.Name FROM sendport.Environment e WITH (HOLDLOCK) WHERE e.EnvironmentId = 1;
IF @environment IS NULL OR @environment = @P7 COLLATE Latin1_General_BIN2
BEGIN
    UPDATE i SET Name = @P2, HostName = @P3, ProcessId = @P4, Version = @P5, RenewedAt = @now,
        LeaseUntil = DATEADD(second, @P6, @now), StoppedAt = NULL
    FROM sendport.Instance i WHERE i.InstanceId = @P1;
    IF @@ROWCOUNT = 0
        INSERT INTO sendport.Instance (InstanceId, Name, HostName, ProcessId, Version, StartedAt, RenewedAt, LeaseUntil)
        VALUES (@P1, @P2, @P3, @P4, @P5, @now, @now, DATEADD(second, @P6, @now));
END;
COMMIT TRANSACTION;
SELECT @environment;
