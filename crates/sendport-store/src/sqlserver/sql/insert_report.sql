-- SqlServerStore::insert_report
-- The braces become: of whom; the statements of insert_received with their parameters, or nothing; and parameters for the
-- send port and the reason. Answers how many recipients are recorded, and the report's id. None: something was reported of
-- one of them already, or its status changed.
SET LOCK_TIMEOUT 2000;
DECLARE @now datetime2(3) = SYSUTCDATETIME();
DECLARE @alert bigint = {alert}, @action nvarchar(16) = N'{action}';
DECLARE @id bigint, @count int = 0;
DECLARE @recipients TABLE (Ordinal int NOT NULL PRIMARY KEY);
INSERT @recipients (Ordinal) VALUES {ordinals};
BEGIN TRY
    BEGIN TRANSACTION;
    -- A requeue waits for this, and deletes what is recorded here.
    IF NOT EXISTS (SELECT 1 FROM @recipients x
                   LEFT JOIN sendport.Recipient r WITH (UPDLOCK, HOLDLOCK, INDEX (PK_Recipient), FORCESEEK)
                     ON r.AlertId = @alert AND r.Ordinal = x.Ordinal
                   WHERE NOT (@action = N'failed' AND COALESCE(r.Status, N'queued') IN (N'failed', N'expired')
                              OR @action = N'delayed' AND COALESCE(r.Status, N'queued') IN (N'queued', N'delayed')
                              OR @action = N'relayed' AND COALESCE(r.Status, N'queued') = N'relayed'))
       AND NOT EXISTS (SELECT 1 FROM @recipients x
                       JOIN sendport.DeliveryReport d WITH (UPDLOCK, HOLDLOCK, INDEX (PK_DeliveryReport), FORCESEEK)
                         ON d.AlertId = @alert AND d.Ordinal = x.Ordinal AND d.Action = @action)
    BEGIN
    {message}
        INSERT INTO sendport.DeliveryReport (AlertId, Ordinal, Action, SendPort, ReportedAt, ReportAlertId, Reason)
        SELECT @alert, x.Ordinal, @action, {send_port}, @now, @id, {reason} FROM @recipients x;
        SET @count = @@ROWCOUNT;
    END;
    COMMIT TRANSACTION;
END TRY
BEGIN CATCH
    IF XACT_STATE() <> 0 ROLLBACK TRANSACTION;
    -- The key refuses the second one on an engine without lock hints.
    IF ERROR_NUMBER() NOT IN (2601, 2627) THROW;
    SET @id = NULL;
    SET @count = 0;
END CATCH;
SELECT @count, @id;
