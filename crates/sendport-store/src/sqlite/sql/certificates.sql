-- certificates: whole rows of all, or of one address (?1), or with one thumbprint (?2).
SELECT CertificateId, Address, BoundBy, Thumbprint, Sha256Fingerprint, Subject, Issuer, SerialNumber, ValidFrom, ValidTo,
       KeyUsage, CanEncrypt, KeyAlgorithm, Capabilities, Cipher, RsaPadding, Pem, Source,
       AddedAt, AddedBy, RevokedAt, RevokedReason
FROM Certificate
WHERE (?1 IS NULL OR Address = ?1) AND (?2 IS NULL OR Thumbprint = ?2)
ORDER BY Address, ValidFrom DESC, CertificateId
