-- SqlServerStore::retire
-- @P1 id; {among} becomes a condition about AlertId, or nothing. What it held is due at once; no attempt is
-- spent. What others have locked is left for a takeover. Answers how many it held.
SET LOCK_TIMEOUT 250;
DECLARE @now datetime2(3) = SYSUTCDATETIME();
DECLARE @ids TABLE (AlertId bigint NOT NULL PRIMARY KEY, LeasedAt datetime2(3) NULL);
BEGIN TRANSACTION;
-- X, as the UPDATE needs it, on the index and by LeasedAt on the row itself; FORCESEEK: a scan waits for
-- applications that insert.
INSERT @ids
SELECT a.AlertId, a.LeasedAt
FROM sendport.AlertRow a WITH (READPAST, XLOCK, ROWLOCK, READCOMMITTEDLOCK, INDEX (IX_AlertRow_LeaseOwner), FORCESEEK)
WHERE a.LeaseOwner = @P1
  {among};
UPDATE a
SET Status = {waiting_status},
    StatusAt = @now, DueAt = @now, LeaseToken = NULL, LeaseOwner = NULL, LeasedAt = NULL
FROM sendport.AlertRow a WITH (INDEX (PK_AlertRow), FORCESEEK) JOIN @ids i ON i.AlertId = a.AlertId
WHERE a.LeaseOwner = @P1;
DELETE FROM sendport.RelayState WHERE InstanceId = @P1;
-- What it could not record or claim is done, or another one's.
UPDATE i SET StoppedAt = @now, LeaseUntil = CASE WHEN i.LeaseUntil > @now THEN @now ELSE i.LeaseUntil END,
    WaitingFor = NULL, UnrecordedCount = 0, UnrecordedSince = NULL, UnclaimedCount = 0, UnclaimedSince = NULL
FROM sendport.Instance i WHERE i.InstanceId = @P1 AND i.StoppedAt IS NULL;
COMMIT TRANSACTION;
SELECT COUNT(*) FROM @ids;
