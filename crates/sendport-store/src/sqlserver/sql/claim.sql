-- SqlServerStore::claim
-- @P1 instance, @P2 token, @P3 send port, @P4 limit, @P5 head start of a class in seconds.
-- {without} is empty, or leaves out what was refused before: AND AlertId NOT IN (@P6, ...).
-- Answers the ids in the order of work, then whether the queue may hold more, and how many requests of operators
-- took out of it.
SET LOCK_TIMEOUT 250;
DECLARE @now datetime2(3) = SYSUTCDATETIME();
DECLARE @ids TABLE (AlertId bigint NOT NULL PRIMARY KEY, DueRank datetime2(3) NOT NULL, NotBefore datetime2(3) NULL);
DECLARE @taken TABLE (AlertId bigint NOT NULL PRIMARY KEY);
DECLARE @candidates int = 0, @count int = 0, @more bit = 0, @parked int = 0;

-- A claim whose answer was lost is repeated with the same token: the same rows are the answer.
INSERT @taken
SELECT a.AlertId FROM sendport.AlertRow a WITH (INDEX (IX_AlertRow_LeaseOwner), FORCESEEK)
WHERE a.LeaseOwner = @P1 AND a.LeaseToken = @P2;
SET @count = @@ROWCOUNT;

-- An adoption forgets the instances, which then get nothing more. READUNCOMMITTED: no claim waits for their rows. Nor
-- does one wait for requests of operators that are not committed; a send port that they hold is not asked at all.
IF @count = 0 AND EXISTS (SELECT 1 FROM sendport.Instance i WITH (READUNCOMMITTED) WHERE i.InstanceId = @P1)
    AND NOT EXISTS (SELECT 1 FROM sendport.OperatorRequest q
                        WITH (READPAST, READCOMMITTEDLOCK, INDEX (IX_OperatorRequest_Open), FORCESEEK)
                    WHERE q.State = N'open' AND q.Verb = N'hold' AND q.SendPort = @P3)
BEGIN
    BEGIN TRANSACTION;
    -- READPAST skips in this read alone, and the UPDATE needs X where others may have S (a serializable
    -- reader): so the rows are locked with X here. LeaseToken (NULL in all that is due) is in no column of
    -- the index: the row itself is locked too, and one that cannot be had does not use up the TOP.
    INSERT @ids
    SELECT TOP (@P4) c.AlertId, c.DueRank, c.NotBefore
    FROM (
        SELECT u.AlertId, u.DueRank, u.NotBefore FROM (
            SELECT TOP (@P4) AlertId, DATEADD(second, -2 * @P5, DueAt) AS DueRank, NotBefore
            FROM sendport.AlertRow WITH (READPAST, XLOCK, ROWLOCK, READCOMMITTEDLOCK,
                                         INDEX (IX_AlertRow_Due), FORCESEEK)
            WHERE SendPort = @P3 AND Priority = N'urgent' AND DueAt <= @now AND LeaseToken IS NULL
              {without}
            ORDER BY DueAt, AlertId) u
        UNION ALL
        SELECT n.AlertId, n.DueRank, n.NotBefore FROM (
            SELECT TOP (@P4) AlertId, DATEADD(second, -@P5, DueAt) AS DueRank, NotBefore
            FROM sendport.AlertRow WITH (READPAST, XLOCK, ROWLOCK, READCOMMITTEDLOCK,
                                         INDEX (IX_AlertRow_Due), FORCESEEK)
            WHERE SendPort = @P3 AND Priority = N'normal' AND DueAt <= @now AND LeaseToken IS NULL
              {without}
            ORDER BY DueAt, AlertId) n
        UNION ALL
        SELECT l.AlertId, l.DueRank, l.NotBefore FROM (
            SELECT TOP (@P4) AlertId, DueAt AS DueRank, NotBefore
            FROM sendport.AlertRow WITH (READPAST, XLOCK, ROWLOCK, READCOMMITTEDLOCK,
                                         INDEX (IX_AlertRow_Due), FORCESEEK)
            WHERE SendPort = @P3 AND Priority = N'low' AND DueAt <= @now AND LeaseToken IS NULL
              {without}
            ORDER BY DueAt, AlertId) l
    ) c
    ORDER BY c.DueRank, c.AlertId;
    SET @candidates = @@ROWCOUNT;

    -- FORCESEEK here and below: a merge join with a list scans the table, and waits for applications that insert.
    -- DueAt cannot be NotBefore by default: what is met too early is put there now.
    IF EXISTS (SELECT 1 FROM @ids i WHERE i.NotBefore > @now)
        UPDATE a SET DueAt = a.NotBefore
        FROM sendport.AlertRow a WITH (INDEX (PK_AlertRow), FORCESEEK) JOIN @ids i ON i.AlertId = a.AlertId
        WHERE a.DueAt <= @now AND a.NotBefore > @now;

    IF @candidates > 0
    BEGIN
        {park_requested}

        -- StatusReason stays, for an alert that is given back without an outcome.
        -- The second look at DueAt keeps an engine without lock hints from claiming twice. No OUTPUT: there
        -- it makes the join a scan for each row.
        UPDATE a
        SET Status = N'sending', StatusAt = @now, DueAt = NULL,
            LeaseToken = @P2, LeaseOwner = @P1, LeasedAt = @now
        FROM sendport.AlertRow a WITH (INDEX (PK_AlertRow), FORCESEEK) JOIN @ids i ON i.AlertId = a.AlertId
        WHERE a.DueAt <= @now;
        INSERT @taken
        SELECT a.AlertId
        FROM sendport.AlertRow a WITH (INDEX (PK_AlertRow), FORCESEEK) JOIN @ids i ON i.AlertId = a.AlertId
        WHERE a.LeaseToken = @P2 AND a.LeaseOwner = @P1;
        SET @count = @@ROWCOUNT;
    END;
    COMMIT TRANSACTION;

    IF @candidates >= @P4 OR @count < @candidates
        SET @more = 1;
    -- Rows that READPAST passed over may be given back: dirty reads show them at no cost.
    ELSE IF EXISTS (SELECT 1 FROM sendport.AlertRow WITH (READUNCOMMITTED,
                                                          INDEX (IX_AlertRow_Due), FORCESEEK)
                    WHERE SendPort = @P3 AND Priority IN (N'urgent', N'normal', N'low') AND DueAt <= @now
                      {without}
                   )
        SET @more = 1;
END;

SELECT t.AlertId FROM @taken t LEFT JOIN @ids i ON i.AlertId = t.AlertId ORDER BY i.DueRank, t.AlertId;
SELECT @more, @parked;
