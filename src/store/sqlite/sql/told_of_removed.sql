-- tell_expiry: what was told of certificates that are gone.
DELETE FROM CertificateNotification WHERE NOT EXISTS
    (SELECT 1 FROM Certificate c WHERE c.CertificateId = CertificateNotification.CertificateId)
