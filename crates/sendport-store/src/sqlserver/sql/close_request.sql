-- SqlServerStore::close_request
-- @P1 request, @P2 how many the database refuses to change, @P3 and @P4 first and last id, @P5 the event that says so.
-- {index} is the index to seek in, {statuses} the statuses to look for; {among} becomes a condition about AlertId, or nothing.
-- Closes the request if nothing matches any more, and answers whether it is closed, whether this closed it, and how many have
-- no body any more. A hold ends by a release, or when its one alert is final, and a redirect by a release alone.
-- READUNCOMMITTED: an alert that is being inserted or that another transaction has locked keeps the request in force.
SET LOCK_TIMEOUT 5000;
DECLARE @now datetime2(3) = SYSUTCDATETIME(), @purged bigint = 0, @refused bigint, @closed int = 0;
IF EXISTS (SELECT 1 FROM sendport.OperatorRequest q WHERE q.RequestId = @P1 AND q.Verb = N'requeue')
    SET @purged = (SELECT COUNT_BIG(*)
                   FROM sendport.OperatorRequest q
                   JOIN sendport.AlertRow a WITH (READUNCOMMITTED, INDEX ({index}), FORCESEEK)
                     ON a.Status IN ({statuses}) AND a.AlertId BETWEEN @P3 AND @P4
                   WHERE q.RequestId = @P1 AND a.BodyPurgedAt IS NOT NULL
                     AND {request_applies});
SET @refused = @P2 + @purged;
UPDATE o SET RefusedCount = @refused FROM sendport.OperatorRequest o WHERE o.RequestId = @P1 AND o.RefusedCount <> @refused;
IF NOT EXISTS (SELECT 1
               FROM sendport.OperatorRequest q
               JOIN sendport.AlertRow a WITH (READUNCOMMITTED, INDEX ({index}), FORCESEEK)
                 ON a.Status IN ({statuses}) AND a.AlertId BETWEEN @P3 AND @P4
               WHERE q.RequestId = @P1 AND (a.BodyPurgedAt IS NULL OR q.Verb = N'purge')
                 AND ({request_applies}
                      OR q.Verb = N'hold' AND a.FinalAt IS NULL AND {request_matches}
                      OR q.Verb = N'cancel' AND a.Status = N'sending'
                         AND {request_matches})
                 {among}
              )
BEGIN
    BEGIN TRANSACTION;
    UPDATE o
    SET State = N'done', CompletedAt = @now,
        Result = CASE WHEN o.Verb = N'release' AND LEFT(o.Result, 16) = N'a redirect ended' THEN o.Result
            ELSE COALESCE(o.Result + N'; ', N'')
            + CASE WHEN o.AppliedCount + @refused = 0 AND o.Verb IN (N'requeue', N'purge') THEN N'no alert matched'
                   WHEN o.AppliedCount + @refused = 0 AND o.Verb = N'release' AND o.Result IS NULL
                       THEN COALESCE(N'request ' + CONVERT(nvarchar(20), o.HoldRequestId) + N' was not in force',
                                     N'nothing was held')
                   WHEN o.Verb = N'cancel' THEN N'every matching alert is cancelled or was sent before'
                   WHEN o.Verb = N'requeue' THEN N'every matching alert is in the queue again'
                   WHEN o.Verb = N'purge' AND o.BodiesOnly = 1 THEN N'the body of every matching alert is deleted'
                   WHEN o.Verb = N'purge' THEN N'every matching alert is deleted'
                   WHEN o.Verb = N'hold' THEN N'the alert is final'
                   ELSE N'every matching alert is released' END
            + CASE WHEN @refused > 0 THEN N', except ' + CONVERT(nvarchar(20), @refused) + N' that cannot be changed'
                   ELSE N'' END END
    FROM sendport.OperatorRequest o WHERE o.RequestId = @P1 AND o.State = N'open' AND o.Verb <> N'redirect';
    SET @closed = @@ROWCOUNT;
    IF @closed > 0
        INSERT INTO sendport.EventLog (Severity, EventType, Message) VALUES (N'information', N'request-done', @P5);
    COMMIT TRANSACTION;
END;
SELECT CASE o.State WHEN N'done' THEN 1 ELSE 0 END, @closed, @purged FROM sendport.OperatorRequest o WHERE o.RequestId = @P1;
