-- revoke_certificate: once.
UPDATE Certificate SET RevokedAt = ?2, RevokedReason = ?3 WHERE CertificateId = ?1 AND RevokedAt IS NULL
