-- record: whether the attempt is there.
SELECT 1 FROM Attempt WHERE AttemptKey = ?1
