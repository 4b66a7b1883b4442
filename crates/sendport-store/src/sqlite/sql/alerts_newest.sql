-- alerts: the view, newest first.
SELECT AlertId, PublicId, Reference, Subject, SendPort, Status, StatusReason, AttemptCount, NextAttemptAt,
       FinalAt, BodyPurgedAt, RecipientCount, RelayedCount, WaitingCount, FailedCount, CreatedAt
FROM AlertStatus
ORDER BY AlertId DESC
LIMIT ?1
