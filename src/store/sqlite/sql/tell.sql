-- tell: in which digest it stands.
INSERT INTO FailureNotification (AlertId, DigestAlertId, NotifiedAt) VALUES (?1, ?2, ?3)
