-- certificate_pems: of rows whose keys stand in a JSON array.
SELECT c.CertificateId, c.Pem
FROM json_each(?1) i
JOIN Certificate c ON c.CertificateId = i.value
