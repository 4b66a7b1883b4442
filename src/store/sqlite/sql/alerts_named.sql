-- alerts_named: lines of the view by public id or Reference, newest first.
SELECT AlertId, PublicId, Reference, Subject, SendPort, Status, StatusReason, AttemptCount, NextAttemptAt,
       RecipientCount, RelayedCount, WaitingCount, FailedCount, CreatedAt
FROM AlertStatus
WHERE AlertId IN (SELECT AlertId FROM Alert WHERE PublicId = ?1
                  UNION SELECT AlertId FROM Alert WHERE Reference = ?2)
ORDER BY AlertId DESC
LIMIT ?3
