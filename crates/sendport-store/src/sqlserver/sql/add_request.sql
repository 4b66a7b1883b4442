-- SqlServerStore::add_request
-- @P1 verb, @P2 to @P12 the filter, @P13 all, @P14 recipients, @P15 and @P16 the time and the bodies of a purge, @P17
-- new Message-ID, @P18 why, @P19 where a redirect sends to. A cancel or a requeue is about alerts that are there now, and a purge about what became final at
-- least an hour ago. Answers the key.
DECLARE @now datetime2(3) = SYSUTCDATETIME();
DECLARE @hour datetime2(3) = DATEADD(hour, -1, @now);
INSERT INTO sendport.OperatorRequest (Verb, AlertId, SendPort, AlertName, Reference, CreatedBy, Relay, ExplanationKey,
    Status, CreatedFrom, CreatedUntil, HoldRequestId, MatchesAll, Recipients, FinalBefore, BodiesOnly, NewMessageId, Comment,
    RedirectTo, RequestedAt)
VALUES (@P1, @P2, @P3, @P4, @P5, @P6, @P7, @P8, @P9, @P10,
        CASE WHEN @P1 IN (N'cancel', N'requeue') THEN COALESCE(@P11, @now) ELSE @P11 END,
        @P12, @P13, @P14, CASE WHEN @P1 = N'purge' THEN CASE WHEN @P15 < @hour THEN @P15 ELSE @hour END END, @P16, @P17, @P18,
        @P19, @now);
SELECT CAST(SCOPE_IDENTITY() AS bigint);
