-- SqlServerStore::note_recipients
-- @P1 relay, @P2 instance, @P3 recipients, @P4 seconds that it is kept to. Each statement is its own
-- transaction; where another one makes the row in between, what that one found counts.
DECLARE @now datetime2(3) = SYSUTCDATETIME();
UPDATE r SET Recipients = @P3, PauseSeconds = @P4, LearnedAt = @now, InstanceId = @P2
FROM sendport.RelayRecipientLimit r WHERE r.Relay = @P1;
IF @@ROWCOUNT = 0
BEGIN
    BEGIN TRY
        INSERT INTO sendport.RelayRecipientLimit (Relay, Recipients, PauseSeconds, LearnedAt, InstanceId)
        SELECT @P1, @P3, @P4, @now, @P2
        WHERE NOT EXISTS (SELECT 1 FROM sendport.RelayRecipientLimit x WHERE x.Relay = @P1);
    END TRY
    BEGIN CATCH
        IF ERROR_NUMBER() NOT IN (2601, 2627) THROW;
    END CATCH;
END;
