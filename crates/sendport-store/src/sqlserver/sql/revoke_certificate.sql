-- SqlServerStore::revoke_certificate
-- @P1 key, @P2 reason, @P3 type of the event. Answers how many were revoked.
DECLARE @now datetime2(3) = SYSUTCDATETIME();
DECLARE @revoked int = 0;
BEGIN TRANSACTION;
UPDATE c SET RevokedAt = @now, RevokedReason = @P2
FROM sendport.Certificate c WHERE c.CertificateId = @P1 AND c.RevokedAt IS NULL;
SET @revoked = @@ROWCOUNT;
IF @revoked > 0
    INSERT INTO sendport.EventLog (Severity, EventType, Message)
    SELECT N'information', @P3, N'revoked the certificate ' + c.Thumbprint + N' of ' + c.Address + N' by ' + SUSER_SNAME()
    FROM sendport.Certificate c WHERE c.CertificateId = @P1;
COMMIT TRANSACTION;
SELECT @revoked;
