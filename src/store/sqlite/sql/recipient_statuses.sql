-- record, expire, fail_unrouted, resolve: what the alert's status is made from.
SELECT Status FROM Recipient WHERE AlertId = ?1
