-- tell_expiry: once for each certificate and number of days.
INSERT INTO CertificateNotification (CertificateId, Days, NotifiedAt) VALUES (?1, ?2, ?3)
ON CONFLICT (CertificateId, Days) DO NOTHING
