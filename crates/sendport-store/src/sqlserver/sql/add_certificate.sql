-- SqlServerStore::add_certificate
-- Answers 1 where it is new for its address, 2 where something was chosen or known anew, else 0. Of two
-- that add it at once, the key refuses the second, which tries again.
DECLARE @done int = 0;
IF NOT EXISTS (SELECT 1 FROM sendport.Certificate c WHERE c.Address = @P1 AND c.Sha256Fingerprint = @P4)
BEGIN
    INSERT INTO sendport.Certificate (Address, BoundBy, Thumbprint, Sha256Fingerprint, Subject, Issuer, SerialNumber,
        ValidFrom, ValidTo, KeyUsage, KeyAlgorithm, Capabilities, Cipher, RsaPadding, Pem, Source, CanEncrypt)
    VALUES (@P1, @P2, @P3, @P4, @P5, @P6, @P7, @P8, @P9, @P10, @P11, @P12, @P13, @P14, @P15, @P16, @P17);
    SET @done = 1;
END
ELSE
BEGIN
    UPDATE c
    SET Capabilities = COALESCE(@P12, c.Capabilities), Cipher = COALESCE(@P13, c.Cipher),
        RsaPadding = COALESCE(@P14, c.RsaPadding)
    FROM sendport.Certificate c
    WHERE c.Address = @P1 AND c.Sha256Fingerprint = @P4
      AND (COALESCE(c.Capabilities, N'') <> COALESCE(@P12, c.Capabilities, N'')
           OR COALESCE(c.Cipher, N'') <> COALESCE(@P13, c.Cipher, N'')
           OR COALESCE(c.RsaPadding, N'') <> COALESCE(@P14, c.RsaPadding, N''));
    IF @@ROWCOUNT > 0 SET @done = 2;
END;
SELECT @done;
