-- SqlServerStore::certificates
-- Whole rows; {which} becomes a condition over @P1.
SELECT CertificateId, Address, BoundBy, Thumbprint, Sha256Fingerprint, Subject, Issuer, SerialNumber, ValidFrom, ValidTo,
       KeyUsage, CanEncrypt, KeyAlgorithm, Capabilities, Cipher, RsaPadding, Pem, Source,
       AddedAt, AddedBy, RevokedAt, RevokedReason
FROM sendport.Certificate WHERE {which}
ORDER BY Address, ValidFrom DESC, CertificateId;
