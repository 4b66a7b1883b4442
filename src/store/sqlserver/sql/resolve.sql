-- SqlServerStore::resolve
-- Parameters: @alert, @resolution (relayed, resend, cancel), @reason, @event, @recipients (rows to
-- make where there are none), @last. Where it has more rows than one call takes, several follow in one
-- transaction, and @last is 1 in the last one. Answers 1, or 0 where the alert is not in doubt.
SET NOCOUNT ON;
DECLARE @now datetime2(3) = SYSUTCDATETIME();
-- Stands for ' in the texts of the tables: see record.rs.
DECLARE @quote nchar(1) = NCHAR(57383);
DECLARE @attempt bigint, @relay nvarchar(128), @status nvarchar(16) = N'queued', @final bit = 0, @found int = 0;

BEGIN TRANSACTION;
-- Locks it until the end: nobody claims it or writes facts about it.
UPDATE a SET AttemptCount = a.AttemptCount
FROM sendport.AlertRow a
WHERE a.AlertId = @alert AND a.LeaseToken IS NULL AND a.Status IN (N'queued', N'delayed', N'held');
SET @attempt = (SELECT d.AttemptId FROM sendport.InDoubt d WHERE d.AlertId = @alert);

IF @attempt IS NOT NULL
BEGIN
    SET @found = 1;
    SET @relay = (SELECT t.Relay FROM sendport.Attempt t WHERE t.AttemptId = @attempt);

    IF @resolution <> N'resend'
        INSERT INTO sendport.Recipient (AlertId, Ordinal, Kind, Address, DisplayName, Status, StatusAt, AttemptCount,
            Relay, Command, ReplyCode, EnhancedStatusCode, ReplyText, ExplanationKey, Remark)
        SELECT n.AlertId, n.Ordinal, n.Kind, REPLACE(n.Address COLLATE Latin1_General_BIN2, @quote, N''''),
            REPLACE(n.DisplayName COLLATE Latin1_General_BIN2, @quote, N''''), n.Status, @now, n.AttemptCount, n.Relay,
            n.Command, n.ReplyCode, n.EnhancedStatusCode,
            REPLACE(n.ReplyText COLLATE Latin1_General_BIN2, @quote, N''''), n.ExplanationKey,
            REPLACE(n.Remark COLLATE Latin1_General_BIN2, @quote, N'''')
        FROM @recipients n
        WHERE NOT EXISTS (SELECT 1 FROM sendport.Recipient r WITH (INDEX (PK_Recipient), FORCESEEK)
                          WHERE r.AlertId = n.AlertId AND r.Ordinal = n.Ordinal);
END;

IF @attempt IS NOT NULL AND @last = 1
BEGIN
    -- Who was refused or left out in that very attempt was not part of it, and waits on.
    IF @resolution = N'relayed'
        UPDATE r
        SET Status = N'relayed', StatusAt = @now, Relay = COALESCE(@relay, r.Relay), Command = NULL, ReplyCode = NULL,
            EnhancedStatusCode = NULL, ReplyText = @reason, ExplanationKey = NULL
        FROM sendport.Recipient r
        WHERE r.AlertId = @alert AND r.Status IN (N'queued', N'delayed')
          AND (EXISTS (SELECT 1 FROM sendport.AttemptReply p
                       WHERE p.AttemptId = @attempt AND p.RecipientOrdinal = r.Ordinal AND p.ReplyCode < 400)
               OR NOT EXISTS (SELECT 1 FROM sendport.AttemptReply p
                              WHERE p.AttemptId = @attempt AND p.RecipientOrdinal IS NOT NULL));

    -- What the relay last said stays readable.
    IF @resolution = N'cancel'
        UPDATE r
        SET Status = N'cancelled', StatusAt = @now, ExplanationKey = NULL,
            ReplyText = CASE WHEN r.ReplyText IS NULL THEN @reason
                             ELSE @reason + N'; the last reply was: ' + r.ReplyText END
        FROM sendport.Recipient r
        WHERE r.AlertId = @alert AND r.Status IN (N'queued', N'delayed');

    IF EXISTS (SELECT 1 FROM sendport.Recipient r WHERE r.AlertId = @alert AND r.Status = N'delayed')
        SET @status = N'delayed';
    ELSE IF @resolution <> N'resend'
         AND NOT EXISTS (SELECT 1 FROM sendport.Recipient r WHERE r.AlertId = @alert AND r.Status = N'queued')
    BEGIN
        SET @final = 1;
        SET @status = (SELECT CASE
                WHEN COUNT(*) = 0 THEN N'failed'
                WHEN SUM(CASE WHEN r.Status = N'relayed' THEN 0 ELSE 1 END) = 0 THEN N'relayed'
                WHEN SUM(CASE WHEN r.Status = N'relayed' THEN 1 ELSE 0 END) > 0 THEN N'partial'
                WHEN SUM(CASE WHEN r.Status = N'expired' THEN 0 ELSE 1 END) = 0 THEN N'expired'
                WHEN SUM(CASE WHEN r.Status = N'cancelled' THEN 0 ELSE 1 END) = 0 THEN N'cancelled'
                WHEN SUM(CASE WHEN r.Status = N'suppressed' THEN 0 ELSE 1 END) = 0 THEN N'suppressed'
                ELSE N'failed' END
            FROM sendport.Recipient r WHERE r.AlertId = @alert);
    END;

    UPDATE a
    SET Status = @status, StatusAt = @now,
        StatusReason = CASE WHEN @final = 1 THEN @reason END,
        DueAt = CASE WHEN @final = 1 THEN NULL ELSE @now END,
        FinalAt = CASE WHEN @final = 1 THEN @now END
    FROM sendport.AlertRow a WHERE a.AlertId = @alert;

    INSERT INTO sendport.EventLog (Severity, EventType, AlertId, SendPort, Relay, Message)
    SELECT N'information', @event, a.AlertId, a.SendPort, @relay,
           N'resolved as ' + @resolution + N' by ' + SUSER_SNAME()
    FROM sendport.AlertRow a WHERE a.AlertId = @alert;
END;
COMMIT TRANSACTION;
SELECT @found;
