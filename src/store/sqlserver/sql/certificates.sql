-- SqlServerStore::certificates
-- Whole rows; {which} becomes a condition over @P1.
SELECT CertificateId, Address, BoundBy, Thumbprint, Sha256Fingerprint, Subject, Issuer, SerialNumber, ValidFromAt, ValidToAt,
       KeyUsage, KeyAlgorithm, Capabilities, Cipher, RsaPadding, Pem, Source, AddedAt, AddedBy, RevokedAt, RevokedReason
FROM sendport.Certificate WHERE {which}
ORDER BY Address, ValidFromAt DESC, CertificateId;
