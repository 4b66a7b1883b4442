-- SqlServerStore::remove_certificate
-- @P1 key, @P2 type of the event. Answers how many were removed.
DECLARE @removed int = 0;
BEGIN TRANSACTION;
INSERT INTO sendport.EventLog (Severity, EventType, Message)
SELECT N'information', @P2, N'removed the certificate ' + c.Thumbprint + N' of ' + c.Address + N' by ' + SUSER_SNAME()
FROM sendport.Certificate c WHERE c.CertificateId = @P1;
DELETE FROM sendport.Certificate WHERE CertificateId = @P1;
SET @removed = @@ROWCOUNT;
COMMIT TRANSACTION;
SELECT @removed;
