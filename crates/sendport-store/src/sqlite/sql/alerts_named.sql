-- alerts_named: lines of the view by public id or Reference, newest first. White space sorts before '!': what
-- begins or follows with it is few rows of the index.
SELECT AlertId, PublicId, Reference, Subject, SendPort, Status, StatusReason, AttemptCount, NextAttemptAt,
       FinalAt, BodyPurgedAt, RecipientCount, RelayedCount, WaitingCount, FailedCount, CreatedAt
FROM AlertStatus
WHERE AlertId IN (SELECT AlertId FROM Alert WHERE PublicId = ?1
                  UNION SELECT AlertId FROM Alert WHERE Reference = ?2
                  UNION SELECT AlertId FROM Alert
                  WHERE Reference > ?2 || char(1) AND Reference < ?2 || '!' AND trim(Reference, char(9, 10, 13, 32)) = ?2
                  UNION SELECT AlertId FROM Alert
                  WHERE Reference > char(1) AND Reference < '!' AND trim(Reference, char(9, 10, 13, 32)) = ?2)
ORDER BY AlertId DESC
LIMIT ?3
