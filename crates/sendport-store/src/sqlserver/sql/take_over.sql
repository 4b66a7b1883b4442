-- SqlServerStore::take_over
-- @P1 the instance that asks, @P2 limit, @P3 why an alert is held, @P4 a mark. {among} becomes a condition about AlertId,
-- or nothing. Answers how many were taken.
SET LOCK_TIMEOUT 250;
DECLARE @now datetime2(3) = SYSUTCDATETIME();
DECLARE @ids TABLE (AlertId bigint NOT NULL PRIMARY KEY, LeaseToken uniqueidentifier NULL,
                    LeaseOwner uniqueidentifier NULL, LeasedAt datetime2(3) NULL);
DECLARE @dead TABLE (InstanceId uniqueidentifier NOT NULL PRIMARY KEY);
DECLARE @taken TABLE (AlertId bigint NOT NULL PRIMARY KEY);
DECLARE @count int = 0;

-- The leases are read without a lock: those of running instances must never be locked, not for a moment.
INSERT @dead
SELECT DISTINCT a.LeaseOwner
FROM sendport.AlertRow a WITH (READUNCOMMITTED, INDEX (IX_AlertRow_LeaseOwner), FORCESEEK)
WHERE a.LeaseOwner IS NOT NULL AND a.LeaseOwner <> @P1
  AND NOT EXISTS (SELECT 1 FROM sendport.Instance i WHERE i.InstanceId = a.LeaseOwner AND i.LeaseUntil > @now);

BEGIN TRANSACTION;
-- READPAST skips in this read alone, so it locks with X what the UPDATE needs: the index, and by LeasedAt
-- the row itself. What others have locked, for reading too, is left for the next round. FORCESEEK here and
-- below: a scan waits for applications that insert.
INSERT @ids
SELECT TOP (@P2) a.AlertId, a.LeaseToken, a.LeaseOwner, a.LeasedAt
FROM @dead d
JOIN sendport.AlertRow a WITH (READPAST, XLOCK, ROWLOCK, READCOMMITTEDLOCK, INDEX (IX_AlertRow_LeaseOwner), FORCESEEK)
  ON a.LeaseOwner = d.InstanceId
WHERE NOT EXISTS (SELECT 1 FROM sendport.Instance i WHERE i.InstanceId = d.InstanceId AND i.LeaseUntil > @now)
  {among};

IF EXISTS (SELECT 1 FROM @ids)
BEGIN
    -- The mark says what this statement took, on an engine without lock hints too.
    UPDATE a SET LeaseToken = @P4
    FROM sendport.AlertRow a WITH (INDEX (PK_AlertRow), FORCESEEK) JOIN @ids i ON i.AlertId = a.AlertId
    WHERE a.LeaseToken = i.LeaseToken;
    INSERT @taken
    SELECT a.AlertId
    FROM sendport.AlertRow a WITH (INDEX (PK_AlertRow), FORCESEEK) JOIN @ids i ON i.AlertId = a.AlertId
    WHERE a.LeaseToken = @P4;
    SET @count = @@ROWCOUNT;

    UPDATE a
    SET Status = {waiting_status},
        StatusAt = @now, DueAt = @now, AttemptCount = a.AttemptCount + 1,
        -- What may have been sent says the same when it is sent again: the templates of that time.
        TemplateVersion = CASE WHEN a.Template IS NOT NULL AND a.TemplateVersion IS NULL
                               THEN CONVERT(nvarchar(10), (SELECT MAX(c.Version) FROM sendport.TemplateChange c
                                                           WHERE c.CreatedAt <= a.LeasedAt))
                               ELSE a.TemplateVersion END,
        LeaseToken = NULL, LeaseOwner = NULL, LeasedAt = NULL
    FROM sendport.AlertRow a WITH (INDEX (PK_AlertRow), FORCESEEK) JOIN @taken t ON t.AlertId = a.AlertId;

    -- Where the send port wants it so, an operator has to look first.
    UPDATE a SET Status = N'held', DueAt = NULL, StatusReason = @P3, StatusReasonCode = N'in-doubt'
    FROM sendport.AlertRow a WITH (INDEX (PK_AlertRow), FORCESEEK) JOIN @taken t ON t.AlertId = a.AlertId
    WHERE EXISTS (SELECT 1 FROM sendport.SendPort p WHERE p.Name = a.SendPort AND p.InDoubt = 'hold');

    INSERT INTO sendport.Attempt (AttemptKey, AlertId, AttemptNumber, Outcome, InstanceId, StartedAt, EndedAt)
    SELECT NEWID(), a.AlertId, a.AttemptCount, N'unknown', i.LeaseOwner, i.LeasedAt, @now
    FROM @taken t
    JOIN @ids i ON i.AlertId = t.AlertId
    JOIN sendport.AlertRow a WITH (INDEX (PK_AlertRow), FORCESEEK) ON a.AlertId = t.AlertId;
    -- A trigger of the site may leave rows as they were, and no statement fails of it.
    IF EXISTS (SELECT 1 FROM sendport.AlertRow a WITH (INDEX (PK_AlertRow), FORCESEEK) JOIN @taken t ON t.AlertId = a.AlertId
               WHERE a.LeaseToken = @P4
                  OR NOT EXISTS (SELECT 1 FROM sendport.Attempt x WITH (INDEX (IX_Attempt_AlertId), FORCESEEK)
                                 WHERE x.AlertId = a.AlertId AND x.AttemptNumber = a.AttemptCount))
        THROW 50002, N'a trigger leaves its row or its attempts as they were', 1;
END;
COMMIT TRANSACTION;
SELECT @count;
