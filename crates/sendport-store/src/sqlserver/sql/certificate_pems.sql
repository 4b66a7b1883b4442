-- SqlServerStore::certificate_pems
-- {ids} becomes a list of parameters.
SELECT CertificateId, Pem FROM sendport.Certificate WHERE CertificateId IN ({ids});
