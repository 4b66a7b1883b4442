-- SqlServerStore::note_connection_end
-- @P1 relay, @P2 instance, @P3 recipients, @P4 milliseconds since then. Each statement is its own
-- transaction; where another one makes the row in between, what that one saw counts.
DECLARE @at datetime2(3) = DATEADD(millisecond, -@P4, SYSUTCDATETIME());
UPDATE e SET Recipients = @P3, LostAt = @at, InstanceId = @P2
FROM sendport.RelayConnectionLoss e WHERE e.Relay = @P1;
IF @@ROWCOUNT = 0
BEGIN
    BEGIN TRY
        INSERT INTO sendport.RelayConnectionLoss (Relay, Recipients, LostAt, InstanceId)
        SELECT @P1, @P3, @at, @P2
        WHERE NOT EXISTS (SELECT 1 FROM sendport.RelayConnectionLoss x WHERE x.Relay = @P1);
    END TRY
    BEGIN CATCH
        IF ERROR_NUMBER() NOT IN (2601, 2627) THROW;
    END CATCH;
END;
