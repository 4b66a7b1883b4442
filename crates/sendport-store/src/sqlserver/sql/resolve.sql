-- SqlServerStore::resolve
-- Parameters: @alert, @resolution (relayed, resend, cancel), @comment, @event, @recipients (rows to
-- make where there are none), @last. Where it has more rows than one call takes, several follow in one
-- transaction, and @last is 1 in the last one. Answers the request, or NULL where the alert is not in doubt.
-- Resolution::reason says the same on SQLite.
SET NOCOUNT ON;
DECLARE @now datetime2(3) = SYSUTCDATETIME();
DECLARE @attempt bigint, @relay nvarchar(128), @redirect nvarchar(320), @status nvarchar(16) = N'queued', @final bit = 0, @request bigint;
DECLARE @reason nvarchar(1000) = CASE @resolution
    WHEN N'relayed' THEN N'resolved by ' + SUSER_SNAME() + N': the relay accepted it'
    WHEN N'cancel' THEN N'cancelled by ' + SUSER_SNAME() + N'; it may have been sent' END;
DECLARE @ids TABLE (AlertId bigint NOT NULL PRIMARY KEY);
INSERT @ids VALUES (@alert);

BEGIN TRANSACTION;
-- Locks it until the end: it is not claimed, and no facts about it are recorded.
UPDATE a SET AttemptCount = a.AttemptCount
FROM sendport.AlertRow a
WHERE a.AlertId = @alert AND a.LeaseToken IS NULL AND a.Status IN (N'queued', N'delayed', N'held');
SET @attempt = (SELECT d.AttemptId FROM sendport.InDoubt d WHERE d.AlertId = @alert);

IF @attempt IS NOT NULL
BEGIN
    SELECT @relay = t.Relay, @redirect = t.RedirectTo FROM sendport.Attempt t WHERE t.AttemptId = @attempt;

    IF @resolution <> N'resend'
        INSERT INTO sendport.Recipient (AlertId, Status, StatusAt, {recipient})
        SELECT n.AlertId, n.Status, @now, {n.recipient}
        FROM @recipients n
        WHERE NOT EXISTS (SELECT 1 FROM sendport.Recipient r WITH (INDEX (PK_Recipient), FORCESEEK)
                          WHERE r.AlertId = n.AlertId AND r.Ordinal = n.Ordinal);
END;

IF @attempt IS NOT NULL AND @last = 1
BEGIN
    -- Recipients that were refused or left out in that very attempt wait on.
    IF @resolution = N'relayed'
        UPDATE r
        SET Status = N'relayed', StatusAt = @now, Relay = COALESCE(@relay, r.Relay), Command = NULL, ReplyCode = NULL,
            EnhancedStatusCode = NULL, ReplyText = @reason, ExplanationKey = NULL,
            Remark = N'redirected to ' + @redirect, RedirectTo = @redirect
        FROM sendport.Recipient r
        WHERE r.AlertId = @alert AND r.Status IN (N'queued', N'delayed')
          AND (EXISTS (SELECT 1 FROM sendport.AttemptReply p
                       WHERE p.AttemptId = @attempt AND p.RecipientOrdinal = r.Ordinal AND p.ReplyCode < 400)
               OR NOT EXISTS (SELECT 1 FROM sendport.AttemptReply p
                              WHERE p.AttemptId = @attempt AND p.RecipientOrdinal IS NOT NULL));

    -- What the relay last said stays readable.
    IF @resolution = N'cancel'
        UPDATE r
        SET Status = CASE r.WasRelayed WHEN 1 THEN N'relayed' ELSE N'cancelled' END, StatusAt = @now, ExplanationKey = NULL,
            ReplyText = CASE WHEN r.ReplyText IS NULL THEN @reason
                             ELSE @reason + N'; the last reply was: ' + r.ReplyText END
        FROM sendport.Recipient r
        WHERE r.AlertId = @alert AND r.Status IN (N'queued', N'delayed');

    SET @status = (SELECT {status_of_recipients}
                   FROM sendport.Recipient r WHERE r.AlertId = @alert);
    IF @resolution = N'resend' AND @status <> N'delayed'
        SET @status = N'queued';
    IF @status NOT IN (N'queued', N'delayed')
        SET @final = 1;

    -- The audit: who resolved it, when and how.
    INSERT INTO sendport.OperatorRequest (Verb, AlertId, Resolution, Comment, RequestedAt, State, AppliedCount, CompletedAt, Result)
    VALUES (N'resolve', @alert, @resolution, @comment, @now, N'done', 1, @now, N'the alert is ' + @status);
    SET @request = CAST(SCOPE_IDENTITY() AS bigint);
    UPDATE t SET ResolveRequestId = @request FROM sendport.Attempt t WHERE t.AttemptId = @attempt;
    {keep_earlier_requests}
    UPDATE a
    SET Status = @status, StatusAt = @now, RequestId = @request,
        StatusReason = CASE WHEN @final = 1 THEN @reason END, StatusReasonCode = NULL,
        DueAt = CASE WHEN @final = 1 THEN NULL ELSE @now END,
        FinalAt = CASE WHEN @final = 1 THEN @now END
    FROM sendport.AlertRow a WHERE a.AlertId = @alert;

    INSERT INTO sendport.EventLog (Severity, EventType, AlertId, SendPort, Relay, Message)
    SELECT N'information', @event, a.AlertId, a.SendPort, @relay,
           N'resolved as ' + @resolution + N' by ' + SUSER_SNAME() + N', request ' + CONVERT(nvarchar(20), @request)
    FROM sendport.AlertRow a WHERE a.AlertId = @alert;
END;
COMMIT TRANSACTION;
SELECT @request;
