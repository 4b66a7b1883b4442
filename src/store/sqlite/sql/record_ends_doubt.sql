-- record: whether it is held because nobody saw the end of the attempt that is recorded now.
SELECT EXISTS (SELECT 1 FROM InDoubt
               WHERE AlertId = ?1 AND AttemptNumber = ?2 AND Status = 'held' AND StatusReason LIKE 'in doubt:%')
