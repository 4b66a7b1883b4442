-- Recipients' certificates, and who was told that one ends.

-- One row for each certificate and address that it is for, the address in lower case. Who can write
-- here decides who can read what is encrypted. BoundBy: whether the address stands in the
-- certificate, or an operator says that it is for it. Capabilities, Cipher and RsaPadding: words
-- of the configuration; NULL: nothing is known, or nothing was chosen.
CREATE TABLE Certificate (
    CertificateId     INTEGER PRIMARY KEY AUTOINCREMENT,
    Address           TEXT COLLATE RTRIM NOT NULL,
    BoundBy           TEXT COLLATE RTRIM NOT NULL DEFAULT 'certificate',
    Thumbprint        TEXT COLLATE RTRIM NOT NULL,
    Sha256Fingerprint TEXT COLLATE RTRIM NOT NULL,
    Subject           TEXT NOT NULL,
    Issuer            TEXT NOT NULL,
    SerialNumber      TEXT NOT NULL,
    ValidFromAt       TEXT NOT NULL,
    ValidToAt         TEXT NOT NULL,
    KeyUsage          TEXT NOT NULL,
    KeyAlgorithm      TEXT NOT NULL,
    Capabilities      TEXT,
    Cipher            TEXT COLLATE RTRIM,
    RsaPadding        TEXT COLLATE RTRIM,
    Source            TEXT NOT NULL,
    AddedAt           TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),
    AddedBy           TEXT NOT NULL DEFAULT 'sqlite',
    RevokedAt         TEXT,
    RevokedReason     TEXT,
    -- Last, so that the others are read without it.
    Pem               TEXT NOT NULL,
    CONSTRAINT UQ_Certificate UNIQUE (Address, Sha256Fingerprint),
    CONSTRAINT CK_Certificate_Address CHECK (Address = lower(Address) AND length(Address) BETWEEN 3 AND 320),
    CONSTRAINT CK_Certificate_BoundBy_certificate_or_operator CHECK (BoundBy IN ('certificate', 'operator')),
    CONSTRAINT CK_Certificate_Cipher CHECK (Cipher IN
        ('aes-256-cbc', 'aes-192-cbc', 'aes-128-cbc', 'aes-256-gcm', 'aes-128-gcm', '3des-cbc')),
    CONSTRAINT CK_Certificate_RsaPadding_pkcs1_or_oaep CHECK (RsaPadding IN ('pkcs1', 'oaep')),
    CONSTRAINT CK_Certificate_ValidFromAt_like_2026_01_31T12_00_00_000Z CHECK (ValidFromAt GLOB
        '[0-9][0-9][0-9][0-9]-[0-1][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9].[0-9][0-9][0-9]Z'),
    CONSTRAINT CK_Certificate_ValidToAt_like_2026_01_31T12_00_00_000Z CHECK (ValidToAt GLOB
        '[0-9][0-9][0-9][0-9]-[0-1][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9].[0-9][0-9][0-9]Z'),
    CONSTRAINT CK_Certificate_RevokedAt_like_2026_01_31T12_00_00_000Z CHECK (RevokedAt GLOB
        '[0-9][0-9][0-9][0-9]-[0-1][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9].[0-9][0-9][0-9]Z')
) STRICT;

CREATE INDEX IX_Certificate_Thumbprint ON Certificate (Thumbprint);

-- Certificates that end within 60 days, can be encrypted to, are not revoked, and have no successor:
-- no other certificate for the same address that can be encrypted to by then and ends later.
CREATE VIEW ExpiringCertificate AS
SELECT c.CertificateId, c.Address, c.Thumbprint, c.Subject, c.Issuer, c.ValidToAt,
       CAST(julianday(c.ValidToAt) - julianday('now') AS INTEGER) AS DaysLeft
FROM Certificate c
WHERE c.RevokedAt IS NULL
  AND c.ValidFromAt <= strftime('%Y-%m-%dT%H:%M:%fZ', 'now')
  AND c.ValidToAt >= strftime('%Y-%m-%dT%H:%M:%fZ', 'now')
  AND c.ValidToAt < strftime('%Y-%m-%dT%H:%M:%fZ', 'now', '+60 days')
  AND (c.KeyUsage LIKE 'any%' OR c.KeyUsage LIKE '%keyEncipherment%' OR c.KeyUsage LIKE '%keyAgreement%')
  AND NOT EXISTS (
      SELECT 1 FROM Certificate n
      WHERE n.Address = c.Address AND n.ValidToAt > c.ValidToAt AND n.RevokedAt IS NULL
        AND n.ValidFromAt <= c.ValidToAt
        AND (n.KeyUsage LIKE 'any%' OR n.KeyUsage LIKE '%keyEncipherment%' OR n.KeyUsage LIKE '%keyAgreement%'));

-- With how many days left the end of a certificate was announced.
CREATE TABLE CertificateNotification (
    CertificateId INTEGER NOT NULL,
    Days          INTEGER NOT NULL,
    NotifiedAt        TEXT NOT NULL,
    PRIMARY KEY (CertificateId, Days)
) STRICT, WITHOUT ROWID;
