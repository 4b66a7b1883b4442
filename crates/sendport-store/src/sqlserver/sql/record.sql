-- SqlServerStore::record
-- Parameters: @instance, @outcomes, @recipients, @replies, @last. An outcome whose token is current is recorded
-- whole; of the others only the facts, and those of a recorded attempt not again. Where one
-- outcome has more rows than one call takes, several follow in one transaction: @outcomes.Recorded is
-- what the first one answered, and @last is 1 in the last one, which ends the lease.
-- Answers one row an outcome: AlertId, 2 whole, 4 facts, 1 facts that were recorded before, 0 gone, 3 locked by
-- another transaction.
SET NOCOUNT ON;
SET LOCK_TIMEOUT 250;
DECLARE @now datetime2(3) = SYSUTCDATETIME(), @zero datetime2(3) = '2000-01-01';
DECLARE @locked TABLE (AlertId bigint NOT NULL PRIMARY KEY);
DECLARE @missing TABLE (AlertId bigint NOT NULL PRIMARY KEY);
DECLARE @gone TABLE (AlertId bigint NOT NULL PRIMARY KEY);
DECLARE @held TABLE (AlertId bigint NOT NULL PRIMARY KEY);
DECLARE @facts TABLE (AlertId bigint NOT NULL PRIMARY KEY);
-- Held only because the result of the attempt that is recorded now was unknown.
DECLARE @ended TABLE (AlertId bigint NOT NULL PRIMARY KEY);
-- Without the lease: what went to the address of a redirect ends the alert only while it would go there anyway, or
-- where the alert waits for this very result.
DECLARE @redirected TABLE (AlertId bigint NOT NULL PRIMARY KEY);
-- Alerts whose status is computed from their rows.
DECLARE @again TABLE (AlertId bigint NOT NULL PRIMARY KEY);
DECLARE @follows TABLE (AlertId bigint NOT NULL PRIMARY KEY, Status nvarchar(16) COLLATE Latin1_General_BIN2 NOT NULL);

BEGIN TRANSACTION;
-- READPAST skips in this read alone: what others have locked, for reading too (X does not go with S), is
-- left out of all that follows. FORCESEEK here and below: a merge join with a list scans the table, and
-- waits for applications that insert.
INSERT @locked
SELECT o.AlertId
FROM sendport.AlertRow a WITH (READPAST, XLOCK, ROWLOCK, READCOMMITTEDLOCK, INDEX (PK_AlertRow), FORCESEEK)
JOIN @outcomes o ON o.AlertId = a.AlertId;

-- What not even a dirty read sees is gone, or its deletion is not committed: then this waits, and fails.
INSERT @missing
SELECT o.AlertId
FROM @outcomes o
WHERE NOT EXISTS (SELECT 1 FROM @locked l WHERE l.AlertId = o.AlertId)
  AND NOT EXISTS (SELECT 1 FROM sendport.AlertRow a WITH (READUNCOMMITTED, INDEX (PK_AlertRow), FORCESEEK)
                  WHERE a.AlertId = o.AlertId);
IF @@ROWCOUNT > 0
    INSERT @gone
    SELECT m.AlertId
    FROM @missing m
    WHERE NOT EXISTS (SELECT 1 FROM sendport.AlertRow a WITH (READCOMMITTEDLOCK, INDEX (PK_AlertRow), FORCESEEK)
                      WHERE a.AlertId = m.AlertId);

-- Shows which leases are current, and is the lock on an engine without lock hints.
UPDATE a SET StatusAt = @now
FROM sendport.AlertRow a WITH (INDEX (PK_AlertRow), FORCESEEK)
JOIN @locked l ON l.AlertId = a.AlertId
JOIN @outcomes o ON o.AlertId = l.AlertId
WHERE a.LeaseToken = o.LeaseToken;
INSERT @held
SELECT a.AlertId
FROM sendport.AlertRow a WITH (INDEX (PK_AlertRow), FORCESEEK)
JOIN @locked l ON l.AlertId = a.AlertId
JOIN @outcomes o ON o.AlertId = l.AlertId
WHERE a.LeaseToken = o.LeaseToken;

INSERT @facts
SELECT o.AlertId
FROM @outcomes o JOIN @locked l ON l.AlertId = o.AlertId
WHERE o.AttemptKey IS NOT NULL
  AND NOT EXISTS (SELECT 1 FROM @held h WHERE h.AlertId = o.AlertId)
  AND (o.Recorded = 4
       OR o.Recorded IS NULL
          AND NOT EXISTS (SELECT 1 FROM sendport.Attempt t WITH (INDEX (UQ_Attempt_AttemptKey), FORCESEEK)
                          WHERE t.AttemptKey = o.AttemptKey));
IF EXISTS (SELECT 1 FROM @facts)
BEGIN
    -- An attempt that was made counts, whichever instance has the alert now.
    UPDATE a SET AttemptCount = CASE WHEN o.AttemptNumber > a.AttemptCount THEN o.AttemptNumber ELSE a.AttemptCount END
    FROM sendport.AlertRow a WITH (INDEX (PK_AlertRow), FORCESEEK)
    JOIN @facts f ON f.AlertId = a.AlertId
    JOIN @outcomes o ON o.AlertId = f.AlertId;
    -- As the view InDoubt has it.
    INSERT @ended
    SELECT f.AlertId
    FROM @facts f
    JOIN @outcomes o ON o.AlertId = f.AlertId
    JOIN sendport.AlertRow a WITH (INDEX (PK_AlertRow), FORCESEEK) ON a.AlertId = f.AlertId
    WHERE o.Outcome <> N'unknown' AND a.Status = N'held' AND a.StatusReasonCode = N'in-doubt'
      AND EXISTS (SELECT 1 FROM sendport.Attempt t WITH (INDEX (IX_Attempt_AlertId), FORCESEEK)
                  WHERE t.AlertId = f.AlertId AND t.AttemptNumber = o.AttemptNumber AND t.Outcome = N'unknown'
                    AND NOT EXISTS (SELECT 1 FROM sendport.Attempt x WITH (INDEX (IX_Attempt_AlertId), FORCESEEK)
                                    WHERE x.AlertId = f.AlertId AND x.AttemptKey <> o.AttemptKey
                                      AND (x.AttemptNumber > t.AttemptNumber
                                           OR x.AttemptNumber = t.AttemptNumber AND x.AttemptId > t.AttemptId)));
    -- The counts of the minutes in which they became final are wrong from now on.
    INSERT INTO sendport.MinuteRecount ([Minute])
    SELECT DATEADD(minute, DATEDIFF(minute, @zero, a.FinalAt), @zero)
    FROM sendport.AlertRow a WITH (INDEX (PK_AlertRow), FORCESEEK)
    JOIN @facts f ON f.AlertId = a.AlertId
    WHERE a.FinalAt IS NOT NULL;
    INSERT @redirected
    SELECT f.AlertId
    FROM @facts f
    JOIN @outcomes o ON o.AlertId = f.AlertId
    JOIN sendport.AlertRow a WITH (INDEX (PK_AlertRow), FORCESEEK) ON a.AlertId = f.AlertId
    OUTER APPLY ({redirect_in_force}) d
    WHERE d.RedirectTo = {text o.RedirectTo} OR EXISTS (SELECT 1 FROM @ended e WHERE e.AlertId = f.AlertId);
END;

INSERT INTO sendport.Attempt (AlertId, InstanceId, {attempt})
SELECT o.AlertId, @instance, {o.attempt}
FROM @outcomes o
WHERE o.AttemptKey IS NOT NULL
  AND (EXISTS (SELECT 1 FROM @held h WHERE h.AlertId = o.AlertId)
       OR EXISTS (SELECT 1 FROM @facts f WHERE f.AlertId = o.AlertId))
  AND NOT EXISTS (SELECT 1 FROM sendport.Attempt t WITH (INDEX (UQ_Attempt_AttemptKey), FORCESEEK)
                  WHERE t.AttemptKey = o.AttemptKey);

INSERT INTO sendport.AttemptReply (AttemptId, Ordinal, {reply})
SELECT t.AttemptId, p.Ordinal, {p.reply}
FROM @replies p
JOIN sendport.Attempt t WITH (INDEX (UQ_Attempt_AttemptKey), FORCESEEK) ON t.AttemptKey = p.AttemptKey
WHERE NOT EXISTS (SELECT 1 FROM sendport.AttemptReply x WITH (INDEX (PK_AttemptReply), FORCESEEK)
                  WHERE x.AttemptId = t.AttemptId AND x.Ordinal = p.Ordinal);

-- relayed is only overwritten where a redirect sent the message elsewhere, and now the recipient has it.
UPDATE r
SET Status = n.Status, StatusAt = @now, {delivery = n}
FROM sendport.Recipient r WITH (INDEX (PK_Recipient), FORCESEEK)
JOIN @recipients n ON n.AlertId = r.AlertId AND n.Ordinal = r.Ordinal
WHERE (r.Status <> N'relayed' OR r.RedirectTo IS NOT NULL AND n.RedirectTo IS NULL AND n.Status = N'relayed')
  AND ({takes_status});

-- The list of rows is whole or absent, because a load takes it for the whole: without
-- the lease, who was not relayed is queued, unless the row itself says that it can never be sent
-- (failed without an attempt), or the alert is final.
INSERT INTO sendport.Recipient (AlertId, StatusAt, {recipient}, Status)
SELECT n.AlertId, @now, {n.recipient},
    CASE WHEN {takes_status} THEN n.Status
         WHEN n.Status = N'failed' AND n.AttemptCount = 0 THEN n.Status
         WHEN a.Status IN (N'queued', N'sending', N'delayed', N'held') THEN N'queued'
         -- Its message went elsewhere, or it waits although the alert is final.
         WHEN n.Status IN (N'relayed', N'queued', N'delayed') THEN N'failed'
         ELSE n.Status END
FROM @recipients n
JOIN @locked l ON l.AlertId = n.AlertId
JOIN sendport.AlertRow a WITH (INDEX (PK_AlertRow), FORCESEEK) ON a.AlertId = n.AlertId
LEFT JOIN @held h ON h.AlertId = n.AlertId
LEFT JOIN @facts f ON f.AlertId = n.AlertId
WHERE (h.AlertId IS NOT NULL OR f.AlertId IS NOT NULL)
  AND NOT EXISTS (SELECT 1 FROM sendport.Recipient r WITH (INDEX (PK_Recipient), FORCESEEK)
                  WHERE r.AlertId = n.AlertId AND r.Ordinal = n.Ordinal);

IF @last = 1
BEGIN
    -- Where facts came without the lease, or another fact contradicts this decision, or most rows
    -- came before, the alert's status is made from its rows.
    INSERT @again
    SELECT f.AlertId FROM @facts f
    UNION
    SELECT h.AlertId FROM @held h JOIN @outcomes o ON o.AlertId = h.AlertId WHERE o.Recorded IS NOT NULL
    UNION
    SELECT n.AlertId
    FROM @recipients n
    JOIN @held h ON h.AlertId = n.AlertId
    JOIN sendport.Recipient x WITH (INDEX (PK_Recipient), FORCESEEK) ON x.AlertId = n.AlertId AND x.Ordinal = n.Ordinal
    WHERE n.Status <> N'relayed' AND x.Status = N'relayed';
    INSERT @follows
    SELECT r.AlertId,
           {status_of_recipients}
    FROM sendport.Recipient r WITH (INDEX (PK_Recipient), FORCESEEK) JOIN @again g ON g.AlertId = r.AlertId
    GROUP BY r.AlertId;
    -- What was to be held stays so while a recipient waits.
    UPDATE w SET Status = N'held'
    FROM @follows w JOIN @outcomes o ON o.AlertId = w.AlertId JOIN @held h ON h.AlertId = w.AlertId
    WHERE o.Status = N'held' AND w.Status IN (N'queued', N'delayed');

    UPDATE a
    SET Status = COALESCE(w.Status, o.Status, {waiting_status}),
        StatusAt = @now,
        StatusReason = {text o.StatusReason}, StatusReasonCode = o.StatusReasonCode,
        DueAt = CASE WHEN COALESCE(w.Status, o.Status, N'queued') IN (N'queued', N'delayed')
                     THEN DATEADD(second, CAST(COALESCE(o.RetryInMs, 0) / 1000 AS int),
                                  DATEADD(millisecond, CAST(COALESCE(o.RetryInMs, 0) % 1000 AS int), @now)) END,
        FinalAt = CASE WHEN COALESCE(w.Status, o.Status, N'queued') IN (N'queued', N'delayed', N'held') THEN NULL ELSE @now END,
        AttemptCount = CASE WHEN o.AttemptNumber > a.AttemptCount THEN o.AttemptNumber ELSE a.AttemptCount END,
        TemplateVersion = COALESCE(a.TemplateVersion, {text o.TemplateVersion}),
        LeaseToken = NULL, LeaseOwner = NULL, LeasedAt = NULL
    FROM sendport.AlertRow a WITH (INDEX (PK_AlertRow), FORCESEEK)
    JOIN @outcomes o ON o.AlertId = a.AlertId
    JOIN @held h ON h.AlertId = a.AlertId
    LEFT JOIN @follows w ON w.AlertId = a.AlertId;

    -- The instance that has the alert now is not disturbed; a decision of an operator remains in force while a
    -- recipient still waits.
    UPDATE a
    SET Status = w.Status,
        StatusAt = CASE WHEN a.Status = w.Status THEN a.StatusAt ELSE @now END,
        StatusReason = CASE WHEN w.Status = N'relayed'
                             AND NOT EXISTS (SELECT 1 FROM sendport.Recipient r WITH (INDEX (PK_Recipient), FORCESEEK)
                                             WHERE r.AlertId = a.AlertId AND r.RedirectTo IS NOT NULL) THEN NULL
                            WHEN w.Status = N'relayed' AND a.Status <> N'relayed' AND o.RedirectTo IS NOT NULL
                            THEN {text o.StatusReason}
                            WHEN e.AlertId IS NULL THEN a.StatusReason END,
        StatusReasonCode = CASE WHEN e.AlertId IS NULL THEN a.StatusReasonCode END,
        DueAt = CASE WHEN w.Status NOT IN (N'queued', N'delayed') THEN NULL
                     WHEN e.AlertId IS NULL THEN a.DueAt ELSE @now END,
        FinalAt = CASE WHEN w.Status IN (N'queued', N'delayed') THEN NULL ELSE COALESCE(a.FinalAt, @now) END
    FROM sendport.AlertRow a WITH (INDEX (PK_AlertRow), FORCESEEK)
    JOIN @follows w ON w.AlertId = a.AlertId
    JOIN @facts f ON f.AlertId = a.AlertId
    JOIN @outcomes o ON o.AlertId = a.AlertId
    LEFT JOIN @ended e ON e.AlertId = a.AlertId
    WHERE a.Status IN (N'queued', N'delayed') OR (a.Status = N'held' AND e.AlertId IS NOT NULL)
       OR (a.Status <> N'sending' AND w.Status NOT IN (N'queued', N'delayed'));
END;

-- A trigger of the site may leave rows as they were, or change them back, and no statement fails of it.
DECLARE @ignored nvarchar(100) = CASE
    WHEN @last = 1 AND EXISTS (
        SELECT 1
        FROM sendport.AlertRow a WITH (INDEX (PK_AlertRow), FORCESEEK)
        JOIN @held h ON h.AlertId = a.AlertId
        JOIN @outcomes o ON o.AlertId = h.AlertId
        LEFT JOIN @follows w ON w.AlertId = h.AlertId
        WHERE a.LeaseToken IS NOT NULL OR a.Status = N'sending' OR a.Status <> COALESCE(w.Status, o.Status, a.Status))
        THEN N'row as it was'
    WHEN EXISTS (
        SELECT 1
        FROM @outcomes o
        WHERE o.AttemptKey IS NOT NULL
          AND (EXISTS (SELECT 1 FROM @held h WHERE h.AlertId = o.AlertId)
               OR EXISTS (SELECT 1 FROM @facts f WHERE f.AlertId = o.AlertId))
          AND NOT EXISTS (SELECT 1 FROM sendport.Attempt t WITH (INDEX (UQ_Attempt_AttemptKey), FORCESEEK)
                          WHERE t.AttemptKey = o.AttemptKey))
        THEN N'attempts as they were'
    WHEN EXISTS (
        SELECT 1
        FROM @recipients n
        WHERE ({takes_status})
          AND NOT EXISTS (SELECT 1 FROM sendport.Recipient r WITH (INDEX (PK_Recipient), FORCESEEK)
                          WHERE r.AlertId = n.AlertId AND r.Ordinal = n.Ordinal AND r.Status IN (n.Status, N'relayed')))
        THEN N'recipients as they were' END;
IF @ignored IS NOT NULL
BEGIN
    SET @ignored = N'a trigger leaves its ' + @ignored;
    THROW 50002, @ignored, 1;
END;
COMMIT TRANSACTION;

SELECT o.AlertId, CASE WHEN h.AlertId IS NOT NULL THEN 2 WHEN f.AlertId IS NOT NULL THEN 4
                       WHEN l.AlertId IS NOT NULL THEN 1 WHEN g.AlertId IS NOT NULL THEN 0 ELSE 3 END
FROM @outcomes o
LEFT JOIN @held h ON h.AlertId = o.AlertId
LEFT JOIN @facts f ON f.AlertId = o.AlertId
LEFT JOIN @locked l ON l.AlertId = o.AlertId
LEFT JOIN @gone g ON g.AlertId = o.AlertId;
