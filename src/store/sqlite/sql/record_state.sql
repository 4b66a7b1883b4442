-- record: whose lease it is, and where the alert stands.
SELECT LeaseToken, Status FROM AlertState WHERE AlertId = ?1
