-- SqlServerStore::note_limit
-- @P1 relay, @P2 instance, @P3 the number that it knew, @P4 the number now, @P5 the refusal. Answers 1
-- where that number was still stored. Each statement is its own transaction, and only one of many that
-- ask at once can be the one that changes the row or makes it.
DECLARE @now datetime2(3) = SYSUTCDATETIME();
DECLARE @noted int = 0;
IF @P3 IS NULL
BEGIN
    BEGIN TRY
        INSERT INTO sendport.RelayConnectionLimit (Relay, Connections, ChangedAt, InstanceId, ThrottleReason)
        SELECT @P1, @P4, @now, @P2, @P5
        WHERE NOT EXISTS (SELECT 1 FROM sendport.RelayConnectionLimit x WHERE x.Relay = @P1);
        SET @noted = @@ROWCOUNT;
    END TRY
    BEGIN CATCH
        IF ERROR_NUMBER() NOT IN (2601, 2627) THROW;
        SET @noted = 0;
    END CATCH;
END
ELSE IF @P4 IS NULL
BEGIN
    DELETE FROM sendport.RelayConnectionLimit WHERE Relay = @P1 AND Connections = @P3;
    SET @noted = @@ROWCOUNT;
END
ELSE
BEGIN
    UPDATE l SET Connections = @P4, ChangedAt = @now, InstanceId = @P2, ThrottleReason = @P5
    FROM sendport.RelayConnectionLimit l WHERE l.Relay = @P1 AND l.Connections = @P3;
    SET @noted = @@ROWCOUNT;
END;
SELECT @noted;
