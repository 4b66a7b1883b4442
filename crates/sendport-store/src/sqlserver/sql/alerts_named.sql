-- SqlServerStore::alerts_named
-- @P1 public id or NULL, @P2 Reference, @P3 limit. White space sorts before '!': what begins or follows with it
-- is few rows of the index.
SELECT TOP (@P3) AlertId, PublicId, Reference, Subject, SendPort, Status, StatusReason, AttemptCount, NextAttemptAt,
       FinalAt, BodyPurgedAt, RecipientCount, RelayedCount, WaitingCount, FailedCount, CreatedAt
FROM sendport.AlertStatus
WHERE AlertId IN (SELECT p.AlertId FROM sendport.AlertRow p WHERE p.PublicId = @P1
                  UNION SELECT r.AlertId FROM sendport.AlertRow r WHERE r.Reference = @P2
                  UNION SELECT r.AlertId FROM sendport.AlertRow r
                  WHERE r.Reference > @P2 + NCHAR(1) AND r.Reference < @P2 + N'!'
                    AND LTRIM(RTRIM(REPLACE(REPLACE(REPLACE(r.Reference, NCHAR(9), N' '), NCHAR(10), N' '), NCHAR(13), N' '))) = @P2
                  UNION SELECT r.AlertId FROM sendport.AlertRow r
                  WHERE r.Reference > NCHAR(1) AND r.Reference < N'!'
                    AND LTRIM(RTRIM(REPLACE(REPLACE(REPLACE(r.Reference, NCHAR(9), N' '), NCHAR(10), N' '), NCHAR(13), N' '))) = @P2)
ORDER BY AlertId DESC;
