-- SqlServerStore::alerts
-- @P1 first id, @P2 last id, @P3 limit.
SELECT TOP (@P3) AlertId, PublicId, Reference, Subject, SendPort, Status, StatusReason, AttemptCount, NextAttemptAt,
       FinalAt, BodyPurgedAt, RecipientCount, RelayedCount, WaitingCount, FailedCount, CreatedAt
FROM sendport.AlertStatus WHERE AlertId BETWEEN @P1 AND @P2 ORDER BY AlertId DESC;
