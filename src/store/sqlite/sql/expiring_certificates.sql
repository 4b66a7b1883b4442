-- expiring_certificates: with the smallest number of days that each was announced with.
SELECT e.CertificateId, e.Address, e.Thumbprint, e.ValidToAt, e.DaysLeft,
       (SELECT min(t.Days) FROM CertificateTold t WHERE t.CertificateId = e.CertificateId) AS ToldAtDays
FROM ExpiringCertificate e
ORDER BY e.ValidToAt, e.Address
