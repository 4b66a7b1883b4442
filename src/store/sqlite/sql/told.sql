-- tell: whether another instance told of it first.
SELECT EXISTS (SELECT 1 FROM FailureTold WHERE AlertId = ?1)
