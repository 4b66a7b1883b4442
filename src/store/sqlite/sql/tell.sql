-- tell: in which digest it stands; an alert that is gone in none.
INSERT INTO FailureTold (AlertId, DigestAlertId, ToldAt)
SELECT AlertId, ?2, ?3 FROM AlertState WHERE AlertId = ?1
ON CONFLICT (AlertId) DO NOTHING
