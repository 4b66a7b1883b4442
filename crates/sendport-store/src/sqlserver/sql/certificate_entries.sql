-- SqlServerStore::certificate_entries
-- All but the certificates themselves; {addresses} becomes a list of parameters.
SELECT CertificateId, Address, BoundBy, Thumbprint, Sha256Fingerprint, ValidFrom, Capabilities, Cipher,
       RsaPadding, RevokedAt, RevokedReason
FROM sendport.Certificate WHERE Address IN ({addresses});
