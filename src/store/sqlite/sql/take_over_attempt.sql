-- take_over: the attempt that nobody saw the end of; of what was submitted nothing is known.
INSERT INTO Attempt (AttemptKey, AlertId, AttemptNumber, Outcome, InstanceId, StartedAt, EndedAt)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
