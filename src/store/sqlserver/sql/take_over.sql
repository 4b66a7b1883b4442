-- SqlServerStore::take_over
-- @P1 the instance that asks, @P2 limit, @P3 why an alert is held. Answers how many were taken.
DECLARE @now datetime2(3) = SYSUTCDATETIME();
DECLARE @ids TABLE (AlertId bigint NOT NULL PRIMARY KEY, LeaseToken uniqueidentifier NULL,
                    LeaseOwner uniqueidentifier NULL, LeasedAt datetime2(3) NULL);
DECLARE @taken TABLE (AlertId bigint NOT NULL PRIMARY KEY);
DECLARE @count int = 0;

BEGIN TRANSACTION;
INSERT @ids
SELECT TOP (@P2) a.AlertId, a.LeaseToken, a.LeaseOwner, a.LeasedAt
FROM sendport.AlertRow a WITH (READPAST, UPDLOCK, ROWLOCK, READCOMMITTEDLOCK)
WHERE a.LeaseOwner IS NOT NULL AND a.LeaseOwner <> @P1
  AND NOT EXISTS (SELECT 1 FROM sendport.Instance i WHERE i.InstanceId = a.LeaseOwner AND i.LeaseUntil > @now);

IF EXISTS (SELECT 1 FROM @ids)
BEGIN
    UPDATE a
    SET Status = N'queued', StatusAt = @now, DueAt = @now, AttemptCount = a.AttemptCount + 1,
        LeaseToken = NULL, LeaseOwner = NULL, LeasedAt = NULL
    OUTPUT inserted.AlertId INTO @taken
    FROM sendport.AlertRow a JOIN @ids i ON i.AlertId = a.AlertId
    WHERE a.LeaseToken = i.LeaseToken;
    SET @count = @@ROWCOUNT;

    UPDATE a SET Status = N'delayed'
    FROM sendport.AlertRow a JOIN @taken t ON t.AlertId = a.AlertId
    WHERE EXISTS (SELECT 1 FROM sendport.Recipient r WHERE r.AlertId = a.AlertId AND r.Status = N'delayed');

    -- What may have been sent says the same when it is sent again: the templates of that time.
    UPDATE a SET TemplateVersion = CONVERT(nvarchar(10), (SELECT MAX(c.Version) FROM sendport.TemplateChange c
                                                          WHERE c.CreatedAt <= i.LeasedAt))
    FROM sendport.AlertRow a JOIN @taken t ON t.AlertId = a.AlertId JOIN @ids i ON i.AlertId = a.AlertId
    WHERE a.Template IS NOT NULL AND a.TemplateVersion IS NULL;

    -- Where the send port wants it so, an operator has to look first.
    UPDATE a SET Status = N'held', DueAt = NULL, StatusReason = @P3
    FROM sendport.AlertRow a JOIN @taken t ON t.AlertId = a.AlertId
    WHERE EXISTS (SELECT 1 FROM sendport.SendPort p WHERE p.Name = a.SendPort AND p.InDoubt = 'hold');

    INSERT INTO sendport.Attempt (AttemptKey, AlertId, AttemptNumber, Outcome, InstanceId, StartedAt, EndedAt)
    SELECT NEWID(), a.AlertId, a.AttemptCount, N'unknown', i.LeaseOwner, i.LeasedAt, @now
    FROM @taken t JOIN @ids i ON i.AlertId = t.AlertId JOIN sendport.AlertRow a ON a.AlertId = t.AlertId;
END;
COMMIT TRANSACTION;
SELECT @count;
