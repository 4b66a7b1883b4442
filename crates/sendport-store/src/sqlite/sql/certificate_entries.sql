-- certificate_entries: all but the certificates themselves, of addresses in a JSON array.
SELECT c.CertificateId, c.Address, c.BoundBy, c.Thumbprint, c.Sha256Fingerprint, c.ValidFrom, c.Capabilities, c.Cipher,
       c.RsaPadding, c.RevokedAt, c.RevokedReason
FROM json_each(?1) a
JOIN Certificate c ON c.Address = a.value
