-- SqlServerStore::notify_expiry
-- @P1 certificate, @P2 days, @P3 to @P6 severity, type, instance and message of the event. Answers 1, or
-- 0 where it was announced before.
DECLARE @announced int = 0;
BEGIN TRY
    BEGIN TRANSACTION;
    IF NOT EXISTS (SELECT 1 FROM sendport.CertificateNotification t WITH (UPDLOCK, HOLDLOCK)
                   WHERE t.CertificateId = @P1 AND t.DaysLeft = @P2)
    BEGIN
        -- The key refuses the second one on an engine without lock hints.
        INSERT INTO sendport.CertificateNotification (CertificateId, DaysLeft) VALUES (@P1, @P2);
        INSERT INTO sendport.EventLog (Severity, EventType, InstanceId, Message) VALUES (@P3, @P4, @P5, @P6);
        DELETE t FROM sendport.CertificateNotification t
        WHERE NOT EXISTS (SELECT 1 FROM sendport.Certificate c WHERE c.CertificateId = t.CertificateId);
        SET @announced = 1;
    END;
    COMMIT TRANSACTION;
END TRY
BEGIN CATCH
    IF XACT_STATE() <> 0 ROLLBACK TRANSACTION;
    IF ERROR_NUMBER() NOT IN (2601, 2627) THROW;
    SET @announced = 0;
END CATCH;
SELECT @announced;
