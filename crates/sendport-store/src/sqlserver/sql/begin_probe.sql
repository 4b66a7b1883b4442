-- SqlServerStore::begin_probe
-- @P1 relay, @P2 what it said, @P3 seconds until the next probe after the first one, @P4 the most that
-- they double to, @P5 alert: one that probed before says no more than it said then. Answers whether the caller probes, and the seconds until the next probe; nothing
-- where the relay was found to be in order meanwhile.
DECLARE @now datetime2(3) = SYSUTCDATETIME();
DECLARE @granted int = 0;
DECLARE @alert nvarchar(32) = CONVERT(nvarchar(32), @P5) + N',';
-- Each of the two statements is its own transaction, and only one of many can be the one that
-- changes the row or makes it.
UPDATE t
SET WaitSeconds = CASE WHEN t.ProbeAlertIds LIKE N'%,' + @alert + N'%' THEN t.WaitSeconds
                       WHEN t.WaitSeconds * 2 > @P4 THEN @P4 ELSE t.WaitSeconds * 2 END,
    RetryAt = DATEADD(second, CASE WHEN t.ProbeAlertIds LIKE N'%,' + @alert + N'%' THEN t.WaitSeconds
                                   WHEN t.WaitSeconds * 2 > @P4 THEN @P4 ELSE t.WaitSeconds * 2 END, @now),
    ProbeAlertIds = CASE WHEN t.ProbeAlertIds LIKE N'%,' + @alert + N'%' OR t.WaitSeconds >= @P4 THEN t.ProbeAlertIds
                    ELSE t.ProbeAlertIds + @alert END,
    Reply = @P2
FROM sendport.RelayThrottle t
WHERE t.Relay = @P1 AND t.RetryAt <= @now;
SET @granted = @@ROWCOUNT;
IF @granted = 0
BEGIN
    BEGIN TRY
        INSERT INTO sendport.RelayThrottle (Relay, ThrottledAt, WaitSeconds, RetryAt, Reply, ProbeAlertIds)
        SELECT @P1, @now, @P3, DATEADD(second, @P3, @now), @P2, N',' + @alert
        WHERE NOT EXISTS (SELECT 1 FROM sendport.RelayThrottle x WHERE x.Relay = @P1);
        SET @granted = @@ROWCOUNT;
    END TRY
    BEGIN CATCH
        IF ERROR_NUMBER() NOT IN (2601, 2627) THROW;
        SET @granted = 0;
    END CATCH;
END;
SELECT @granted, DATEDIFF(second, @now, t.RetryAt) FROM sendport.RelayThrottle t WHERE t.Relay = @P1;
