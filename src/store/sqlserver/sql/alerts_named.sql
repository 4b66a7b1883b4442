-- SqlServerStore::alerts_named
-- @P1 public id or NULL, @P2 Reference, @P3 limit.
SELECT TOP (@P3) AlertId, PublicId, Reference, Subject, SendPort, Status, StatusReason, AttemptCount, NextAttemptAt,
       RecipientCount, RelayedCount, WaitingCount, FailedCount, CreatedAt
FROM sendport.AlertStatus
WHERE AlertId IN (SELECT p.AlertId FROM sendport.AlertRow p WHERE p.PublicId = @P1
                  UNION SELECT r.AlertId FROM sendport.AlertRow r WHERE r.Reference = @P2)
ORDER BY AlertId DESC;
