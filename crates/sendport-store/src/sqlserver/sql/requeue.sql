-- SqlServerStore::requeue
-- @P1 request, @P2 mark; {ids} becomes a list of parameters. What is locked, or not final since before the request any
-- more, is left alone. Answers how many were put back.
SET NOCOUNT ON;
SET LOCK_TIMEOUT 250;
DECLARE @now datetime2(3) = SYSUTCDATETIME();
DECLARE @requested datetime2(3), @recipients nvarchar(16), @new int = 0, @from int = 0, @to int, @count int, @request bigint = @P1;
DECLARE @ids TABLE (AlertId bigint NOT NULL PRIMARY KEY);
DECLARE @taken TABLE (AlertId bigint NOT NULL PRIMARY KEY);
SELECT @requested = q.RequestedAt, @recipients = q.Recipients, @new = q.NewMessageId
FROM sendport.OperatorRequest q WHERE q.RequestId = @P1;

BEGIN TRANSACTION;
INSERT @ids
SELECT a.AlertId
FROM sendport.AlertRow a WITH (READPAST, XLOCK, ROWLOCK, READCOMMITTEDLOCK, INDEX (PK_AlertRow), FORCESEEK)
WHERE a.AlertId IN ({ids}) AND a.FinalAt <= @requested AND a.LeaseToken IS NULL AND a.BodyPurgedAt IS NULL;
-- The mark says what this statement took, on an engine without lock hints too.
UPDATE a SET LeaseToken = @P2, FinalAt = NULL
FROM sendport.AlertRow a WITH (INDEX (PK_AlertRow), FORCESEEK) JOIN @ids i ON i.AlertId = a.AlertId
WHERE a.FinalAt <= @requested AND a.LeaseToken IS NULL;
INSERT @taken
SELECT a.AlertId
FROM sendport.AlertRow a WITH (INDEX (PK_AlertRow), FORCESEEK) JOIN @ids i ON i.AlertId = a.AlertId
WHERE a.LeaseToken = @P2;
SET @count = @@ROWCOUNT;

IF @count > 0
BEGIN
    -- A thousand recipients of each at a time: many row locks in one statement become a table lock. What the relay said,
    -- and where a redirect sent to, is in the attempts.
    SET @to = (SELECT MAX(r.Ordinal) FROM sendport.Recipient r WITH (INDEX (PK_Recipient), FORCESEEK)
               JOIN @taken t ON t.AlertId = r.AlertId);
    WHILE @from <= @to
    BEGIN
        UPDATE r
        SET WasRelayed = CASE WHEN r.Status = N'relayed' AND r.RedirectTo IS NULL THEN 1 ELSE r.WasRelayed END,
            Status = N'queued', StatusAt = @now, AttemptCount = 0, Relay = NULL, Command = NULL, ReplyCode = NULL,
            EnhancedStatusCode = NULL, ReplyText = NULL, ExplanationKey = NULL, Remark = NULL, RedirectTo = NULL
        FROM sendport.Recipient r WITH (INDEX (PK_Recipient), FORCESEEK)
        JOIN @taken t ON t.AlertId = r.AlertId
        WHERE r.Ordinal >= @from AND r.Ordinal < @from + 1000
          AND r.Status IN (N'failed', N'expired', N'cancelled', N'relayed')
          AND (@recipients = N'all' OR @recipients = N'redirected' AND r.RedirectTo IS NOT NULL
               OR @recipients = N'failed' AND r.Status <> N'relayed');
        -- A failure after this is reported to the sender again.
        DELETE d
        FROM @taken t
        JOIN sendport.Recipient r WITH (INDEX (PK_Recipient), FORCESEEK) ON r.AlertId = t.AlertId
        JOIN sendport.DeliveryReport d WITH (INDEX (PK_DeliveryReport), FORCESEEK)
          ON d.AlertId = r.AlertId AND d.Ordinal = r.Ordinal
        WHERE r.Ordinal >= @from AND r.Ordinal < @from + 1000 AND r.Status = N'queued' AND d.Action = N'failed';
        UPDATE f
        SET IsCurrent = 0
        FROM @taken t
        JOIN sendport.Recipient r WITH (INDEX (PK_Recipient), FORCESEEK) ON r.AlertId = t.AlertId
        JOIN sendport.RecipientFeedback f WITH (INDEX (IX_RecipientFeedback_Recipient), FORCESEEK)
          ON f.AlertId = r.AlertId AND f.Ordinal = r.Ordinal AND f.IsCurrent = 1
        WHERE r.Ordinal >= @from AND r.Ordinal < @from + 1000 AND r.Status = N'queued';
        SET @from = @from + 1000;
    END;
    -- A failure after this is reported again.
    DELETE FROM sendport.FailureNotification WHERE AlertId IN (SELECT t.AlertId FROM @taken t);
    {keep_earlier_requests}
    -- Age and attempts count anew. One that was never sent, or that gets a new Message-ID, gets the newest templates.
    UPDATE a
    SET Status = N'queued', StatusAt = @now, StatusReason = NULL, StatusReasonCode = NULL, LeaseToken = NULL,
        DueAt = CASE WHEN a.NotBefore > @now THEN a.NotBefore ELSE @now END,
        RequeuedAt = @now, AttemptsBefore = a.AttemptCount, MessageGeneration = a.MessageGeneration + @new,
        TemplateVersion = CASE WHEN @new = 1 OR a.AttemptCount = 0 THEN NULL ELSE a.TemplateVersion END,
        RequestId = @P1
    FROM sendport.AlertRow a WITH (INDEX (PK_AlertRow), FORCESEEK) JOIN @taken t ON t.AlertId = a.AlertId;
    -- A trigger of the site may leave rows as they were, and no statement fails of it.
    IF EXISTS (SELECT 1 FROM sendport.AlertRow a WITH (INDEX (PK_AlertRow), FORCESEEK) JOIN @taken t ON t.AlertId = a.AlertId
               WHERE a.LeaseToken = @P2 OR a.Status <> N'queued')
        THROW 50002, N'a trigger leaves its row as it was', 1;
    UPDATE q SET AppliedCount = q.AppliedCount + @count FROM sendport.OperatorRequest q WHERE q.RequestId = @P1;
END;
COMMIT TRANSACTION;
SELECT @count;
