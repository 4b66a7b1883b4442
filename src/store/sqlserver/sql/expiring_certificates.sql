-- SqlServerStore::expiring_certificates
-- With the smallest number of days that each was announced with.
SELECT e.CertificateId, e.Address, e.Thumbprint, e.ValidToAt, e.DaysLeft,
       (SELECT MIN(t.Days) FROM sendport.CertificateNotification t WHERE t.CertificateId = e.CertificateId)
FROM sendport.ExpiringCertificate e
ORDER BY e.ValidToAt, e.Address;
