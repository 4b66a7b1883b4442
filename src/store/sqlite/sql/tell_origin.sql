-- tell: who made the alert.
UPDATE AlertState SET Origin = ?2 WHERE AlertId = ?1
