-- record, expire, fail_unrouted: where one recipient stands once it is written.
SELECT Status FROM Recipient WHERE AlertId = ?1 AND Ordinal = ?2
