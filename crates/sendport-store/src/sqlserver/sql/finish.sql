-- finish (SqlServerStore::expire, fail_unrouted, adopt, cancel)
-- Parameters: @status and @explanation for recipients that still waited, @outcomes (AlertId, SeenStatusAt,
-- StatusReason), @recipients (rows to make where there are none), @mark, @last, @request (of an
-- operator, or 0); no text where there is no @explanation. An alert that was
-- claimed, changed or locked since it was seen is left alone. Where one alert has more rows than one
-- call takes, several follow in one transaction, with the same @mark, and @last is 1 in the last one.
-- Answers how many alerts ended.
SET NOCOUNT ON;
SET LOCK_TIMEOUT 250;
DECLARE @now datetime2(3) = SYSUTCDATETIME();
DECLARE @ids TABLE (AlertId bigint NOT NULL PRIMARY KEY);
DECLARE @held TABLE (AlertId bigint NOT NULL PRIMARY KEY);
DECLARE @follows TABLE (AlertId bigint NOT NULL PRIMARY KEY, Status nvarchar(16) COLLATE Latin1_General_BIN2 NOT NULL);
DECLARE @from int = 0, @to int;

BEGIN TRANSACTION;
-- READPAST skips in this read alone: what others have locked, for reading too (X does not go with S), is
-- left out of all that follows. FORCESEEK here and below: a merge join with a list scans the table, and
-- waits for applications that insert.
INSERT @ids
SELECT o.AlertId
FROM sendport.AlertRow a WITH (READPAST, XLOCK, ROWLOCK, READCOMMITTEDLOCK, INDEX (PK_AlertRow), FORCESEEK)
JOIN @outcomes o ON o.AlertId = a.AlertId;
-- The mark says what this statement took, on an engine without lock hints too.
UPDATE a SET DueAt = NULL, FinalAt = @now, LeaseToken = @mark
FROM sendport.AlertRow a WITH (INDEX (PK_AlertRow), FORCESEEK)
JOIN @ids i ON i.AlertId = a.AlertId
JOIN @outcomes o ON o.AlertId = i.AlertId
WHERE a.StatusAt = o.SeenStatusAt AND a.LeaseToken IS NULL AND a.Status IN (N'queued', N'delayed', N'held');
INSERT @held
SELECT a.AlertId
FROM sendport.AlertRow a WITH (INDEX (PK_AlertRow), FORCESEEK) JOIN @ids i ON i.AlertId = a.AlertId
WHERE a.LeaseToken = @mark;

INSERT INTO sendport.Recipient (AlertId, Status, StatusAt, {recipient})
SELECT n.AlertId, n.Status, @now, {n.recipient}
FROM @recipients n JOIN @held h ON h.AlertId = n.AlertId
WHERE NOT EXISTS (SELECT 1 FROM sendport.Recipient r WITH (INDEX (PK_Recipient), FORCESEEK)
                  WHERE r.AlertId = n.AlertId AND r.Ordinal = n.Ordinal);

IF @last = 1
BEGIN
    -- A thousand recipients of each at a time: many row locks in one statement become a table lock.
    SET @to = (SELECT MAX(r.Ordinal) FROM sendport.Recipient r WITH (INDEX (PK_Recipient), FORCESEEK)
               JOIN @held h ON h.AlertId = r.AlertId);
    WHILE @from <= @to
    BEGIN
        -- What the relay last said, or what was waited for, stays readable. One that was relayed before a requeue is
        -- relayed.
        UPDATE r
        SET Status = CASE r.WasRelayed WHEN 1 THEN N'relayed' ELSE @status END, StatusAt = @now,
            ExplanationKey = CASE r.WasRelayed WHEN 1 THEN NULL ELSE NULLIF(@explanation, N'') END,
            ReplyText = CASE r.WasRelayed WHEN 1 THEN N'relayed before the requeue; then ' ELSE N'' END + {text o.StatusReason}
                + CASE WHEN r.ReplyText IS NOT NULL THEN N'; the last reply was: ' + r.ReplyText
                       WHEN a.StatusReasonCode = N'waiting' THEN N'; it ' + a.StatusReason
                       -- Due, and no relay could be had: what the view Queue says of it.
                       WHEN @status = N'expired' AND a.Status <> N'held' THEN COALESCE((
                           SELECT TOP (1) N'; relay ' + rs.Relay + N' unavailable since '
                                  + CONVERT(nvarchar(23), rs.Since, 126) + N'Z: ' + rs.Reply
                           FROM sendport.SendPortRelay pr
                           JOIN sendport.RelayState rs ON rs.Relay = pr.Relay
                           JOIN sendport.Instance i ON i.InstanceId = rs.InstanceId
                           WHERE pr.SendPort = a.SendPort AND rs.Condition <> N'closed' AND rs.Reply IS NOT NULL
                             AND i.StoppedAt IS NULL
                           ORDER BY pr.Ordinal, rs.Since), N'')
                       ELSE N'' END
        FROM sendport.Recipient r WITH (INDEX (PK_Recipient), FORCESEEK)
        JOIN @held h ON h.AlertId = r.AlertId
        JOIN sendport.AlertRow a WITH (INDEX (PK_AlertRow), FORCESEEK) ON a.AlertId = h.AlertId
        JOIN @outcomes o ON o.AlertId = h.AlertId
        WHERE r.Ordinal >= @from AND r.Ordinal < @from + 1000 AND r.Status IN (N'queued', N'delayed');
        SET @from = @from + 1000;
    END;

    INSERT @follows
    SELECT r.AlertId,
           {status_of_recipients}
    FROM sendport.Recipient r WITH (INDEX (PK_Recipient), FORCESEEK) JOIN @held h ON h.AlertId = r.AlertId
    GROUP BY r.AlertId;

    IF @request > 0
    BEGIN
        {keep_earlier_requests}
    END;
    UPDATE a
    SET Status = COALESCE(w.Status, CASE @status WHEN N'cancelled' THEN N'cancelled' ELSE N'failed' END),
        StatusAt = @now, LeaseToken = NULL, RequestId = CASE WHEN @request > 0 THEN @request ELSE a.RequestId END,
        StatusReason = {text o.StatusReason}, StatusReasonCode = NULL
    FROM sendport.AlertRow a WITH (INDEX (PK_AlertRow), FORCESEEK)
    JOIN @held h ON h.AlertId = a.AlertId
    JOIN @outcomes o ON o.AlertId = a.AlertId
    LEFT JOIN @follows w ON w.AlertId = a.AlertId;
    IF @request > 0
        UPDATE q SET AppliedCount = q.AppliedCount + (SELECT COUNT(*) FROM @held)
        FROM sendport.OperatorRequest q WHERE q.RequestId = @request;
    -- A trigger of the site may leave rows as they were, and no statement fails of it.
    IF EXISTS (SELECT 1 FROM @follows w WHERE w.Status IN (N'queued', N'delayed'))
       OR EXISTS (SELECT 1 FROM sendport.AlertRow a WITH (INDEX (PK_AlertRow), FORCESEEK) JOIN @held h ON h.AlertId = a.AlertId
                  WHERE a.LeaseToken = @mark)
        THROW 50002, N'a trigger leaves its row or its recipients as they were', 1;
END;
COMMIT TRANSACTION;
SELECT COUNT(*) FROM @held;
