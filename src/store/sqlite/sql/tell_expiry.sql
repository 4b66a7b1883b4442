-- tell_expiry: once for each certificate and number of days.
INSERT INTO CertificateTold (CertificateId, Days, ToldAt) VALUES (?1, ?2, ?3)
ON CONFLICT (CertificateId, Days) DO NOTHING
