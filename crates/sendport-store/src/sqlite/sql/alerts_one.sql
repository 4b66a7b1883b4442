-- alerts: one line of the view.
SELECT AlertId, PublicId, Reference, Subject, SendPort, Status, StatusReason, AttemptCount, NextAttemptAt,
       FinalAt, BodyPurgedAt, RecipientCount, RelayedCount, WaitingCount, FailedCount, CreatedAt
FROM AlertStatus
WHERE AlertId = ?1
