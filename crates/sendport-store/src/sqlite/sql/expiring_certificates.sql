-- expiring_certificates: with the smallest number of days that each was announced with.
SELECT e.CertificateId, e.Address, e.Thumbprint, e.ValidTo, e.DaysLeft,
       (SELECT min(t.DaysLeft) FROM CertificateNotification t WHERE t.CertificateId = e.CertificateId) AS NotifiedAtDays
FROM ExpiringCertificate e
ORDER BY e.ValidTo, e.Address
