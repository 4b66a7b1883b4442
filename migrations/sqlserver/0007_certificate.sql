-- Recipients' certificates, and who was told that one ends.
SET QUOTED_IDENTIFIER ON;
SET ANSI_NULLS ON;
GO
-- One row for each certificate and address that it is for, the address in lower case. Who can write
-- here decides who can read what is encrypted. BoundBy: whether the address stands in the
-- certificate, or an operator says that it is for it. Capabilities, Cipher and RsaPadding: words
-- of the configuration; NULL: nothing is known, or nothing was chosen.
CREATE TABLE sendport.Certificate (
    CertificateId     bigint IDENTITY(1, 1) NOT NULL,
    Address           nvarchar(320) COLLATE Latin1_General_BIN2 NOT NULL,
    BoundBy           nvarchar(16) COLLATE Latin1_General_BIN2 NOT NULL
                      CONSTRAINT DF_Certificate_BoundBy DEFAULT N'certificate',
    Thumbprint        nvarchar(40) COLLATE Latin1_General_BIN2 NOT NULL,
    Sha256Fingerprint nvarchar(64) COLLATE Latin1_General_BIN2 NOT NULL,
    Subject           nvarchar(1000) NOT NULL,
    Issuer            nvarchar(1000) NOT NULL,
    SerialNumber      nvarchar(128) NOT NULL,
    ValidFromAt       datetime2(3) NOT NULL,
    ValidToAt         datetime2(3) NOT NULL,
    KeyUsage          nvarchar(400) COLLATE Latin1_General_BIN2 NOT NULL,
    KeyAlgorithm      nvarchar(64) NOT NULL,
    Capabilities      nvarchar(200) COLLATE Latin1_General_BIN2 NULL,
    Cipher            nvarchar(16) COLLATE Latin1_General_BIN2 NULL,
    RsaPadding        nvarchar(16) COLLATE Latin1_General_BIN2 NULL,
    Pem               nvarchar(max) NOT NULL,
    Source            nvarchar(400) NOT NULL,
    AddedAt           datetime2(3) NOT NULL CONSTRAINT DF_Certificate_AddedAt DEFAULT SYSUTCDATETIME(),
    AddedBy           nvarchar(128) NOT NULL CONSTRAINT DF_Certificate_AddedBy DEFAULT SUSER_SNAME(),
    RevokedAt         datetime2(3) NULL,
    RevokedReason     nvarchar(400) NULL,
    CONSTRAINT PK_Certificate PRIMARY KEY (CertificateId),
    CONSTRAINT UQ_Certificate UNIQUE (Address, Sha256Fingerprint),
    CONSTRAINT CK_Certificate_Address CHECK (Address = LOWER(Address) AND LEN(Address) >= 3),
    CONSTRAINT CK_Certificate_BoundBy_certificate_or_operator CHECK (BoundBy IN (N'certificate', N'operator')),
    CONSTRAINT CK_Certificate_Cipher CHECK (Cipher IN
        (N'aes-256-cbc', N'aes-192-cbc', N'aes-128-cbc', N'aes-256-gcm', N'aes-128-gcm', N'3des-cbc')),
    CONSTRAINT CK_Certificate_RsaPadding_pkcs1_or_oaep CHECK (RsaPadding IN (N'pkcs1', N'oaep'))
);
GO
CREATE INDEX IX_Certificate_Thumbprint ON sendport.Certificate (Thumbprint);
GO
-- Certificates that end within 60 days, can be encrypted to, are not revoked, and have no successor:
-- no other certificate for the same address that can be encrypted to by then and ends later.
CREATE VIEW sendport.ExpiringCertificate AS
SELECT c.CertificateId, c.Address, c.Thumbprint, c.Subject, c.Issuer, c.ValidToAt,
       DATEDIFF(hour, w.Moment, c.ValidToAt) / 24 AS DaysLeft
FROM sendport.Certificate c
CROSS JOIN (SELECT SYSUTCDATETIME() AS Moment) w
WHERE c.RevokedAt IS NULL
  AND c.ValidFromAt <= w.Moment
  AND c.ValidToAt >= w.Moment
  AND c.ValidToAt < DATEADD(day, 60, w.Moment)
  AND (c.KeyUsage LIKE N'any%' OR c.KeyUsage LIKE N'%keyEncipherment%' OR c.KeyUsage LIKE N'%keyAgreement%')
  AND NOT EXISTS (
      SELECT 1 FROM sendport.Certificate n
      WHERE n.Address = c.Address AND n.ValidToAt > c.ValidToAt AND n.RevokedAt IS NULL
        AND n.ValidFromAt <= c.ValidToAt
        AND (n.KeyUsage LIKE N'any%' OR n.KeyUsage LIKE N'%keyEncipherment%' OR n.KeyUsage LIKE N'%keyAgreement%'));
GO
-- With how many days left the end of a certificate was announced.
CREATE TABLE sendport.CertificateNotification (
    CertificateId bigint NOT NULL,
    Days          int NOT NULL,
    NotifiedAt        datetime2(3) NOT NULL CONSTRAINT DF_CertificateNotification_NotifiedAt DEFAULT SYSUTCDATETIME(),
    CONSTRAINT PK_CertificateNotification PRIMARY KEY (CertificateId, Days)
);
GO
-- Who keeps certificates decides who can read what is encrypted: neither applications nor the
-- service itself.
CREATE ROLE sendport_certificate_manager;
GO
GRANT SELECT, INSERT, UPDATE, DELETE ON sendport.Certificate TO sendport_certificate_manager;
GRANT SELECT ON sendport.ExpiringCertificate TO sendport_certificate_manager;
-- What was removed or revoked, and by whom, is written down.
GRANT INSERT ON sendport.EventLog TO sendport_certificate_manager;
GO
GRANT SELECT ON sendport.Certificate TO sendport_reader;
GRANT SELECT ON sendport.ExpiringCertificate TO sendport_reader;
GRANT SELECT ON sendport.CertificateNotification TO sendport_reader;
GO
GRANT SELECT ON sendport.Certificate TO sendport_service;
GRANT SELECT ON sendport.ExpiringCertificate TO sendport_service;
GRANT SELECT, INSERT, DELETE ON sendport.CertificateNotification TO sendport_service;
GO
IF OBJECT_ID(N'sendport.SchemaVersion') IS NOT NULL
    GRANT SELECT ON sendport.SchemaVersion TO sendport_certificate_manager;
GO
