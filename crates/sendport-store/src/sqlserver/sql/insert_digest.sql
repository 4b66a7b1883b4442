-- SqlServerStore::insert_digest
-- @P1 to @P16 as of insert; where the braces are, statements fill @alerts. Answers the digest's id,
-- or nothing where another instance reported one of them first.
DECLARE @now datetime2(3) = SYSUTCDATETIME();
DECLARE @alerts TABLE (AlertId bigint NOT NULL PRIMARY KEY);
DECLARE @digest bigint;
{alerts}
BEGIN TRY
    BEGIN TRANSACTION;
    -- Repeated after a lost answer, or with other alerts, it is there already.
    SET @digest = (SELECT AlertId FROM sendport.Alert WHERE PublicId = @P1);
    IF @digest IS NULL AND NOT EXISTS (SELECT 1 FROM sendport.FailureNotification t WITH (UPDLOCK, HOLDLOCK)
                                       JOIN @alerts n ON n.AlertId = t.AlertId)
    BEGIN
        INSERT INTO sendport.Alert (PublicId, ToRecipients, CcRecipients, BccRecipients, Subject, Body, BodyFormat,
            Template, Payload, Language, Headers, Reference, SendPort, Priority, NotBefore, ExpiresAt)
        VALUES (@P1, @P2, @P3, @P4, @P5, @P6, @P7, @P8, @P9, @P10, @P11, @P12, @P13, @P14, @P15, @P16);
        SET @digest = (SELECT AlertId FROM sendport.Alert WHERE PublicId = @P1);
        UPDATE a SET Origin = N'digest' FROM sendport.AlertRow a WHERE a.AlertId = @digest;
    END;
    -- The key refuses the second one on an engine without lock hints.
    IF @digest IS NOT NULL
        INSERT INTO sendport.FailureNotification (AlertId, DigestAlertId, NotifiedAt)
        SELECT a.AlertId, @digest, @now FROM sendport.AlertRow a WITH (INDEX (PK_AlertRow), FORCESEEK) JOIN @alerts n ON n.AlertId = a.AlertId
        WHERE NOT EXISTS (SELECT 1 FROM sendport.FailureNotification t WHERE t.AlertId = a.AlertId AND t.DigestAlertId = @digest);
    COMMIT TRANSACTION;
END TRY
BEGIN CATCH
    IF XACT_STATE() <> 0 ROLLBACK TRANSACTION;
    IF ERROR_NUMBER() NOT IN (2601, 2627) THROW;
    SET @digest = NULL;
END CATCH;
SELECT @digest WHERE @digest IS NOT NULL;
