-- tell_expiry: what was told of certificates that are gone.
DELETE FROM CertificateTold WHERE NOT EXISTS
    (SELECT 1 FROM Certificate c WHERE c.CertificateId = CertificateTold.CertificateId)
