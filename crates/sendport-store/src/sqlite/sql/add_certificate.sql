-- add_certificate: nothing where it is there for the address.
INSERT INTO Certificate (Address, BoundBy, Thumbprint, Sha256Fingerprint, Subject, Issuer, SerialNumber, ValidFrom,
    ValidTo, KeyUsage, KeyAlgorithm, Capabilities, Cipher, RsaPadding, Pem, Source, AddedAt, CanEncrypt)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18)
ON CONFLICT (Address, Sha256Fingerprint) DO NOTHING
