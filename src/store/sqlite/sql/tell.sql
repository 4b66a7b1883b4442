-- tell: in which digest it stands.
INSERT INTO FailureTold (AlertId, DigestAlertId, ToldAt) VALUES (?1, ?2, ?3)
