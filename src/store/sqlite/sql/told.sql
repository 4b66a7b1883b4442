-- tell: whether another instance told of it first, and whether it is there.
SELECT EXISTS (SELECT 1 FROM FailureNotification WHERE AlertId = ?1), EXISTS (SELECT 1 FROM AlertState WHERE AlertId = ?1)
