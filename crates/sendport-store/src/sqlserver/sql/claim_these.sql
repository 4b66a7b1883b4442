-- SqlServerStore::claim, where a lock timed out or a row was refused.
-- @P1 instance, @P2 token; {ids} becomes a list of parameters. Returns those that were taken.
SET LOCK_TIMEOUT 250;
DECLARE @now datetime2(3) = SYSUTCDATETIME();
DECLARE @ids TABLE (AlertId bigint NOT NULL PRIMARY KEY, NotBefore datetime2(3) NULL);
DECLARE @parked int = 0;
BEGIN TRANSACTION;
-- See claim.sql for the reason.
INSERT @ids
SELECT a.AlertId, a.NotBefore
FROM sendport.AlertRow a WITH (READPAST, XLOCK, ROWLOCK, READCOMMITTEDLOCK, INDEX (PK_AlertRow), FORCESEEK)
WHERE a.AlertId IN ({ids}) AND a.DueAt <= @now AND a.LeaseToken IS NULL
  AND EXISTS (SELECT 1 FROM sendport.Instance i WITH (READUNCOMMITTED) WHERE i.InstanceId = @P1)
  AND NOT EXISTS (SELECT 1 FROM sendport.OperatorRequest q
                      WITH (READPAST, READCOMMITTEDLOCK, INDEX (IX_OperatorRequest_Open), FORCESEEK)
                  WHERE q.State = N'open' AND q.Verb = N'hold' AND q.SendPort = a.SendPort);
IF EXISTS (SELECT 1 FROM @ids i WHERE i.NotBefore > @now)
    UPDATE a SET DueAt = a.NotBefore
    FROM sendport.AlertRow a WITH (INDEX (PK_AlertRow), FORCESEEK) JOIN @ids i ON i.AlertId = a.AlertId
    WHERE a.DueAt <= @now AND a.NotBefore > @now;
{park_requested}
UPDATE a
SET Status = N'sending', StatusAt = @now, DueAt = NULL,
    LeaseToken = @P2, LeaseOwner = @P1, LeasedAt = @now
FROM sendport.AlertRow a WITH (INDEX (PK_AlertRow), FORCESEEK) JOIN @ids i ON i.AlertId = a.AlertId
WHERE a.DueAt <= @now;
COMMIT TRANSACTION;
SELECT a.AlertId FROM sendport.AlertRow a WITH (READPAST, READCOMMITTEDLOCK, INDEX (PK_AlertRow), FORCESEEK)
WHERE a.AlertId IN ({ids}) AND a.LeaseToken = @P2 AND a.LeaseOwner = @P1;
