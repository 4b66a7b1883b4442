-- What open requests of operators keep from being sent leaves the queue: alerts of @ids that are due at @now, @parked of
-- them. The
-- requests are read from an index that has all of them that are committed, and what others have locked in it is not
-- committed. A cancel goes before a hold.
DECLARE @open TABLE (RequestId bigint NOT NULL PRIMARY KEY, Verb nvarchar(16) COLLATE Latin1_General_BIN2 NOT NULL,
    AlertId bigint NULL, SendPort nvarchar(64) COLLATE Latin1_General_BIN2 NULL, AlertName nvarchar(128) NULL,
    Reference nvarchar(200) COLLATE Latin1_General_BIN2 NULL, CreatedBy nvarchar(128) NULL, Relay nvarchar(128) NULL,
    ExplanationKey nvarchar(64) COLLATE Latin1_General_BIN2 NULL, Status nvarchar(16) COLLATE Latin1_General_BIN2 NULL,
    CreatedFrom datetime2(3) NULL, CreatedUntil datetime2(3) NULL,
    Recipients nvarchar(16) COLLATE Latin1_General_BIN2 NULL, RequestedAt datetime2(3) NOT NULL,
    RequestedBy nvarchar(128) NOT NULL, Comment nvarchar(400) NULL);
DECLARE @park TABLE (AlertId bigint NOT NULL PRIMARY KEY, RequestId bigint NOT NULL);
INSERT @open (RequestId, Verb, AlertId, SendPort, AlertName, Reference, CreatedBy, Relay, ExplanationKey, Status,
              CreatedFrom, CreatedUntil, RequestedAt, RequestedBy, Comment)
SELECT o.RequestId, o.Verb, o.AlertId, o.SendPort, o.AlertName, o.Reference, o.CreatedBy, o.Relay, o.ExplanationKey,
       o.Status, o.CreatedFrom, o.CreatedUntil, o.RequestedAt, o.RequestedBy, o.Comment
FROM sendport.OperatorRequest o WITH (READPAST, READCOMMITTEDLOCK, INDEX (IX_OperatorRequest_Open), FORCESEEK)
WHERE o.State = N'open' AND o.Verb IN (N'cancel', N'hold');
IF @@ROWCOUNT > 0
BEGIN
    INSERT @park
    SELECT a.AlertId, COALESCE(MIN(CASE WHEN q.Verb = N'cancel' THEN q.RequestId END), MIN(q.RequestId))
    FROM @ids i
    JOIN sendport.AlertRow a WITH (INDEX (PK_AlertRow), FORCESEEK) ON a.AlertId = i.AlertId
    CROSS JOIN @open q
    WHERE a.DueAt <= @now
      AND {request_matches}
    GROUP BY a.AlertId;
    IF @@ROWCOUNT > 0
    BEGIN
        -- As in keep_earlier_requests, each alert with its own request.
        INSERT INTO sendport.EarlierRequest (AlertId, RequestId)
        SELECT a.AlertId, a.RequestId
        FROM sendport.AlertRow a WITH (INDEX (PK_AlertRow), FORCESEEK)
        JOIN @park p ON p.AlertId = a.AlertId
        WHERE a.DueAt <= @now AND a.RequestId <> p.RequestId
          AND NOT EXISTS (SELECT 1 FROM sendport.EarlierRequest e WITH (INDEX (PK_EarlierRequest), FORCESEEK)
                          WHERE e.AlertId = a.AlertId AND e.RequestId = a.RequestId);
        UPDATE a
        SET Status = N'held', StatusAt = @now, DueAt = NULL, RequestId = q.RequestId,
            StatusReason = CASE q.Verb WHEN N'cancel' THEN N'cancelled by ' ELSE N'held by ' END + q.RequestedBy
                + COALESCE(N': ' + q.Comment, N''),
            StatusReasonCode = CASE q.Verb WHEN N'cancel' THEN N'cancelling' ELSE N'operator-hold' END
        FROM sendport.AlertRow a WITH (INDEX (PK_AlertRow), FORCESEEK)
        JOIN @park p ON p.AlertId = a.AlertId
        JOIN @open q ON q.RequestId = p.RequestId
        WHERE a.DueAt <= @now;
        SET @parked = @@ROWCOUNT;
    END;
END;
