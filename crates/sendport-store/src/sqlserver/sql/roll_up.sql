-- SqlServerStore::roll_up
-- @P1 minutes that are counted again, @P2 most minutes, @P3 hours to begin with; where the braces are stand the bounds of
-- latencies. Answers how many minutes were counted, and 1 where more are left.
-- FORCESEEK: a scan would wait for applications that insert.
SET LOCK_TIMEOUT 250;
DECLARE @now datetime2(3) = SYSUTCDATETIME(), @zero datetime2(3) = '2000-01-01';
DECLARE @closed datetime2(3) = DATEADD(minute, DATEDIFF(minute, @zero, @now), @zero);
DECLARE @counted datetime2(3), @from datetime2(3), @to datetime2(3), @last bigint;
DECLARE @begin datetime2(3), @end datetime2(3);
-- Minutes that late outcomes changed after they were counted for the last time.
DECLARE @marks TABLE (MinuteRecountId bigint NOT NULL PRIMARY KEY, [Minute] datetime2(3) NOT NULL);
DECLARE @again TABLE ([Minute] datetime2(3) NOT NULL PRIMARY KEY);
DECLARE @bounds TABLE (UpToMs bigint NOT NULL PRIMARY KEY);
SET @counted = (SELECT s.CountedTo FROM sendport.RollupState s WHERE s.RollupStateId = 1);
SET @to = @counted;
IF @counted IS NULL OR @counted < @closed OR @counted > DATEADD(minute, 1, @closed)
   OR EXISTS (SELECT 1 FROM sendport.MinuteRecount m WITH (READPAST, READCOMMITTEDLOCK))
BEGIN
    INSERT @bounds (UpToMs) VALUES {bounds};
    SET @last = (SELECT MAX(b.UpToMs) FROM @bounds b);
    BEGIN TRANSACTION;
    -- One instance at a time. What another one has counted meanwhile is not counted again.
    UPDATE s SET UpdatedAt = @now FROM sendport.RollupState s WHERE s.RollupStateId = 1;
    IF @@ROWCOUNT = 0
        INSERT INTO sendport.RollupState (RollupStateId, CountedTo, UpdatedAt)
        VALUES (1, DATEADD(hour, -@P3, @closed), @now);
    SET @counted = (SELECT s.CountedTo FROM sendport.RollupState s WHERE s.RollupStateId = 1);
    -- The clock was set back.
    IF @counted > @closed
        SET @counted = @closed;
    SET @from = DATEADD(minute, -@P1, @counted);
    SET @to = DATEADD(minute, @P2, @counted);
    IF @to > @closed
        SET @to = @closed;
    INSERT @marks (MinuteRecountId, [Minute])
    SELECT TOP (@P2) m.MinuteRecountId, m.[Minute]
    FROM sendport.MinuteRecount m WITH (READPAST, READCOMMITTEDLOCK)
    WHERE m.[Minute] < @from
    ORDER BY m.MinuteRecountId;
    -- Where alerts of the day are deleted, what is left of a minute is no count of it.
    INSERT @again ([Minute])
    SELECT DISTINCT k.[Minute]
    FROM @marks k
    WHERE NOT EXISTS (SELECT 1 FROM sendport.DailyCount d WHERE d.[Day] = CAST(k.[Minute] AS date));
    SET @begin = @from;
    SET @end = @to;
    WHILE @begin IS NOT NULL
    BEGIN
        DELETE FROM sendport.MinuteCount WHERE [Minute] >= @begin AND [Minute] < @end;
        INSERT INTO sendport.MinuteCount ([Minute], SendPort, Relay, Status, AlertCount, RecipientCount, AttemptCount)
        SELECT f.[Minute], f.SendPort, f.Relay, f.Status, COUNT(*), SUM(f.Recipients), SUM(f.AttemptCount)
        FROM (SELECT DATEADD(minute, DATEDIFF(minute, @zero, a.FinalAt), @zero) AS [Minute], a.SendPort, a.Status,
                     CAST(a.AttemptCount AS bigint) AS AttemptCount,
                     COALESCE((SELECT TOP (1) t.Relay
                               FROM sendport.Attempt t WITH (INDEX (IX_Attempt_AlertId), FORCESEEK)
                               WHERE t.AlertId = a.AlertId ORDER BY t.AttemptId DESC), N'') AS Relay,
                     CAST((SELECT COUNT(*) FROM sendport.Recipient r WITH (INDEX (PK_Recipient), FORCESEEK)
                           WHERE r.AlertId = a.AlertId) AS bigint) AS Recipients
              FROM sendport.AlertRow a WITH (INDEX (IX_AlertRow_FinalAt), FORCESEEK)
              WHERE a.FinalAt >= @begin AND a.FinalAt < @end) f
        GROUP BY f.[Minute], f.SendPort, f.Relay, f.Status;
        DELETE FROM sendport.MinuteLatency WHERE [Minute] >= @begin AND [Minute] < @end;
        INSERT INTO sendport.MinuteLatency ([Minute], SendPort, UpToMs, AlertCount)
        SELECT b.[Minute], b.SendPort, b.UpToMs, COUNT(*)
        FROM (SELECT l.[Minute], l.SendPort,
                     COALESCE((SELECT MIN(x.UpToMs) FROM @bounds x WHERE x.UpToMs >= l.Ms), @last) AS UpToMs
              FROM (SELECT f.[Minute], f.SendPort,
                           CASE WHEN DATEDIFF(day, f.BeganAt, f.FinalAt) > 20 THEN @last
                                ELSE DATEDIFF(millisecond, f.BeganAt, f.FinalAt) END AS Ms
                    FROM (SELECT DATEADD(minute, DATEDIFF(minute, @zero, a.FinalAt), @zero) AS [Minute], a.SendPort,
                                 a.FinalAt,
                                 CASE WHEN a.RequeuedAt IS NOT NULL THEN a.RequeuedAt
                                      WHEN a.NotBefore > a.CreatedAt THEN a.NotBefore ELSE a.CreatedAt END AS BeganAt
                          FROM sendport.AlertRow a WITH (INDEX (IX_AlertRow_FinalAt), FORCESEEK)
                          WHERE a.FinalAt >= @begin AND a.FinalAt < @end AND a.Status IN (N'relayed', N'partial')) f) l) b
        GROUP BY b.[Minute], b.SendPort, b.UpToMs;
        DELETE FROM @again WHERE [Minute] = @begin;
        SET @begin = (SELECT MIN(n.[Minute]) FROM @again n);
        SET @end = DATEADD(minute, 1, @begin);
    END;
    DELETE FROM sendport.MinuteRecount WHERE MinuteRecountId IN (SELECT k.MinuteRecountId FROM @marks k);
    UPDATE s SET CountedTo = @to FROM sendport.RollupState s WHERE s.RollupStateId = 1;
    COMMIT TRANSACTION;
END;
SELECT CASE WHEN @to > @counted THEN DATEDIFF(minute, @counted, @to) ELSE 0 END,
       CAST(CASE WHEN @to < @closed THEN 1 ELSE 0 END AS bit);
