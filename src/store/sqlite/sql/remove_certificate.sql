-- remove_certificate
DELETE FROM Certificate WHERE CertificateId = ?1
