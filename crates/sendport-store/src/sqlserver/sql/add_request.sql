-- SqlServerStore::add_request
-- @P1 verb, @P2 to @P12 the filter, @P13 all, @P14 recipients, @P15 new Message-ID, @P16 why, @P17 where a redirect
-- sends to. A cancel or a requeue is
-- about alerts that are there now. Answers the key.
DECLARE @now datetime2(3) = SYSUTCDATETIME();
INSERT INTO sendport.OperatorRequest (Verb, AlertId, SendPort, AlertName, Reference, CreatedBy, Relay, ExplanationKey,
    Status, CreatedFrom, CreatedUntil, HoldRequestId, MatchesAll, Recipients, NewMessageId, Comment, RedirectTo,
    RequestedAt)
VALUES (@P1, @P2, @P3, @P4, @P5, @P6, @P7, @P8, @P9, @P10,
        CASE WHEN @P1 IN (N'cancel', N'requeue') THEN COALESCE(@P11, @now) ELSE @P11 END,
        @P12, @P13, @P14, @P15, @P16, @P17, @now);
SELECT CAST(SCOPE_IDENTITY() AS bigint);
