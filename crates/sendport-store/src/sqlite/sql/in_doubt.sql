-- in_doubt: the view, what has been in doubt longest first.
SELECT AlertId, PublicId, Reference, SendPort, Subject, Status, StatusReason, AttemptNumber, Relay, MessageId,
       StartedAt, EndedAt, RemoteAddress, NextAttemptAt, CreatedAt, CreatedBy
FROM InDoubt
ORDER BY EndedAt, AlertId
LIMIT ?1
