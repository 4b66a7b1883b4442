-- SqlServerStore::claim
-- @P1 instance, @P2 token, @P3 send port, @P4 limit, @P5 head start of a class in seconds.
-- Answers the ids in the order of work, then whether the queue may hold more.
DECLARE @now datetime2(3) = SYSUTCDATETIME();
DECLARE @ids TABLE (AlertId bigint NOT NULL PRIMARY KEY, DueRank datetime2(3) NOT NULL);
DECLARE @taken TABLE (AlertId bigint NOT NULL PRIMARY KEY);
DECLARE @candidates int = 0, @early int = 0, @count int = 0, @more bit = 0;

-- A claim whose answer was lost is repeated with the same token: the same rows are the answer.
INSERT @taken SELECT a.AlertId FROM sendport.AlertRow a WHERE a.LeaseOwner = @P1 AND a.LeaseToken = @P2;
SET @count = @@ROWCOUNT;

IF @count = 0
BEGIN
    BEGIN TRANSACTION;
    INSERT @ids
    SELECT TOP (@P4) c.AlertId, c.DueRank
    FROM (
        SELECT u.AlertId, u.DueRank FROM (
            SELECT TOP (@P4) AlertId, DATEADD(second, -2 * @P5, DueAt) AS DueRank
            FROM sendport.AlertRow WITH (READPAST, UPDLOCK, ROWLOCK, READCOMMITTEDLOCK)
            WHERE SendPort = @P3 AND Priority = N'urgent' AND DueAt <= @now ORDER BY DueAt, AlertId) u
        UNION ALL
        SELECT n.AlertId, n.DueRank FROM (
            SELECT TOP (@P4) AlertId, DATEADD(second, -@P5, DueAt) AS DueRank
            FROM sendport.AlertRow WITH (READPAST, UPDLOCK, ROWLOCK, READCOMMITTEDLOCK)
            WHERE SendPort = @P3 AND Priority = N'normal' AND DueAt <= @now ORDER BY DueAt, AlertId) n
        UNION ALL
        SELECT l.AlertId, l.DueRank FROM (
            SELECT TOP (@P4) AlertId, DueAt AS DueRank
            FROM sendport.AlertRow WITH (READPAST, UPDLOCK, ROWLOCK, READCOMMITTEDLOCK)
            WHERE SendPort = @P3 AND Priority = N'low' AND DueAt <= @now ORDER BY DueAt, AlertId) l
    ) c
    ORDER BY c.DueRank, c.AlertId;
    SET @candidates = @@ROWCOUNT;

    IF @candidates > 0
    BEGIN
        -- DueAt cannot be NotBefore by default: what is met too early is put there now.
        UPDATE a SET DueAt = a.NotBefore
        FROM sendport.AlertRow a JOIN @ids i ON i.AlertId = a.AlertId
        WHERE a.DueAt <= @now AND a.NotBefore > @now;
        SET @early = @@ROWCOUNT;

        -- The second look at DueAt keeps an engine without lock hints from claiming twice.
        UPDATE a
        SET Status = N'sending', StatusAt = @now, StatusReason = NULL, DueAt = NULL,
            LeaseToken = @P2, LeaseOwner = @P1, LeasedAt = @now
        OUTPUT inserted.AlertId INTO @taken
        FROM sendport.AlertRow a JOIN @ids i ON i.AlertId = a.AlertId
        WHERE a.DueAt <= @now;
        SET @count = @@ROWCOUNT;
    END;
    COMMIT TRANSACTION;

    IF @candidates >= @P4 OR @count < @candidates
        SET @more = 1;
    -- Rows that READPAST passed over may be given back: dirty reads tell of them at no cost.
    ELSE IF EXISTS (SELECT 1 FROM sendport.AlertRow WITH (READUNCOMMITTED)
                    WHERE SendPort = @P3 AND Priority IN (N'urgent', N'normal', N'low') AND DueAt <= @now)
        SET @more = 1;
END;

SELECT t.AlertId FROM @taken t LEFT JOIN @ids i ON i.AlertId = t.AlertId ORDER BY i.DueRank, t.AlertId;
SELECT @more;
