-- SqlServerStore::expiring_certificates
-- With the smallest number of days that each was announced with.
SELECT e.CertificateId, e.Address, e.Thumbprint, e.ValidTo, e.DaysLeft,
       (SELECT MIN(t.DaysLeft) FROM sendport.CertificateNotification t WHERE t.CertificateId = e.CertificateId)
FROM sendport.ExpiringCertificate e
ORDER BY e.ValidTo, e.Address;
