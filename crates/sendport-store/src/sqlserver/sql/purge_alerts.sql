-- SqlServerStore::purge_alerts
-- @P1 status, @P2 send port, @P3 seconds since FinalAt, @P4 most alerts, @P5 most rows of one table, @P6 the request
-- that counts them. {index} is the index to seek in; {created} and {among} become conditions, or nothing.
-- Answers how many alerts, rows and bytes were purged, and 1 where more may be left. Child rows first: an alert whose
-- child rows are too many is left for the next calls.
SET LOCK_TIMEOUT 250;
DECLARE @now datetime2(3) = SYSUTCDATETIME();
DECLARE @before datetime2(3) = DATEADD(second, -@P3, @now);
DECLARE @alerts bigint = 0, @bodies bigint = 0, @rows bigint = 0, @bytes bigint = 0;
DECLARE @found int, @attempts int = 0, @replies int = 0, @recipients int = 0, @earlier int = 0,
        @feedback int = 0, @reports int = 0;
DECLARE @candidates TABLE (AlertId bigint NOT NULL PRIMARY KEY, [Day] date NOT NULL);
DECLARE @attempt TABLE (AttemptId bigint NOT NULL PRIMARY KEY);
DECLARE @reply TABLE (AttemptId bigint NOT NULL, Ordinal int NOT NULL, PRIMARY KEY (AttemptId, Ordinal));
DECLARE @recipient TABLE (AlertId bigint NOT NULL, Ordinal int NOT NULL, PRIMARY KEY (AlertId, Ordinal));
DECLARE @reported TABLE (RecipientFeedbackId bigint NOT NULL PRIMARY KEY);
DECLARE @report TABLE (FeedbackId bigint NOT NULL PRIMARY KEY);
DECLARE @days TABLE ([Day] date NOT NULL PRIMARY KEY, Alerts int NOT NULL, Recipients int NOT NULL);
BEGIN TRANSACTION;
{lock_retention}
-- CreatedAt, XLOCK and LeaseToken as in purge_bodies.
INSERT @candidates
SELECT TOP (@P4) a.AlertId, CONVERT(date, a.FinalAt)
FROM sendport.AlertRow a WITH (READPAST, XLOCK, ROWLOCK, READCOMMITTEDLOCK, INDEX ({index}), FORCESEEK)
WHERE a.Status = @P1 AND a.SendPort = @P2 AND a.BodyPurged = 1 AND a.FinalAt <= @before AND a.LeaseToken IS NULL
  {created}
  {among}
ORDER BY a.CreatedAt, a.AlertId;
SET @found = @@ROWCOUNT;

INSERT @attempt
SELECT TOP (@P5) t.AttemptId
FROM @candidates c
JOIN sendport.Attempt t WITH (INDEX (IX_Attempt_AlertId), FORCESEEK) ON t.AlertId = c.AlertId;
SET @attempts = @@ROWCOUNT;
INSERT @reply
SELECT TOP (@P5) p.AttemptId, p.Ordinal
FROM @attempt t
JOIN sendport.AttemptReply p WITH (INDEX (PK_AttemptReply), FORCESEEK) ON p.AttemptId = t.AttemptId;
SET @replies = @@ROWCOUNT;
DELETE p
FROM @reply x
JOIN sendport.AttemptReply p WITH (ROWLOCK, INDEX (PK_AttemptReply), FORCESEEK)
  ON p.AttemptId = x.AttemptId AND p.Ordinal = x.Ordinal;
SET @rows = @replies;
IF @replies < @P5
BEGIN
    DELETE t
    FROM @attempt x
    JOIN sendport.Attempt t WITH (ROWLOCK, INDEX (PK_Attempt), FORCESEEK) ON t.AttemptId = x.AttemptId;
    SET @rows = @rows + @attempts;
END;
INSERT @reported
SELECT TOP (@P5) f.RecipientFeedbackId
FROM @candidates c
JOIN sendport.RecipientFeedback f WITH (INDEX (IX_RecipientFeedback_Recipient), FORCESEEK) ON f.AlertId = c.AlertId;
SET @feedback = @@ROWCOUNT;
DELETE f
FROM @reported x
JOIN sendport.RecipientFeedback f WITH (ROWLOCK, INDEX (PK_RecipientFeedback), FORCESEEK)
  ON f.RecipientFeedbackId = x.RecipientFeedbackId;
SET @rows = @rows + @feedback;
IF @feedback < @P5
BEGIN
    INSERT @report
    SELECT TOP (@P5) f.FeedbackId
    FROM @candidates c
    JOIN sendport.Feedback f WITH (INDEX (IX_Feedback_AlertId), FORCESEEK) ON f.AlertId = c.AlertId;
    SET @reports = @@ROWCOUNT;
    DELETE f
    FROM @report x
    JOIN sendport.Feedback f WITH (ROWLOCK, INDEX (PK_Feedback), FORCESEEK) ON f.FeedbackId = x.FeedbackId;
    SET @rows = @rows + @reports;
END;
IF @replies < @P5 AND @attempts < @P5 AND @feedback < @P5 AND @reports < @P5
BEGIN
    INSERT @recipient
    SELECT TOP (@P5) r.AlertId, r.Ordinal
    FROM @candidates c
    JOIN sendport.Recipient r WITH (INDEX (PK_Recipient), FORCESEEK) ON r.AlertId = c.AlertId;
    SET @recipients = @@ROWCOUNT;
    DELETE r
    FROM @recipient x
    JOIN sendport.Recipient r WITH (ROWLOCK, INDEX (PK_Recipient), FORCESEEK)
      ON r.AlertId = x.AlertId AND r.Ordinal = x.Ordinal;
    DELETE d
    FROM @recipient x
    JOIN sendport.DeliveryReport d WITH (ROWLOCK, INDEX (PK_DeliveryReport), FORCESEEK)
      ON d.AlertId = x.AlertId AND d.Ordinal = x.Ordinal;
    SET @rows = @rows + @recipients;
    IF @recipients < @P5
    BEGIN
        DELETE TOP (@P5) FROM sendport.EarlierRequest WHERE AlertId IN (SELECT c.AlertId FROM @candidates c);
        SET @earlier = @@ROWCOUNT;
        SET @rows = @rows + @earlier;
    END;
    IF @recipients < @P5 AND @earlier < @P5
    BEGIN
        DELETE n
        FROM @candidates c
        JOIN sendport.FailureNotification n WITH (ROWLOCK, INDEX (PK_FailureNotification), FORCESEEK)
          ON n.AlertId = c.AlertId;
        DELETE a
        FROM @candidates c
        JOIN sendport.AlertRow a WITH (ROWLOCK, INDEX (PK_AlertRow), FORCESEEK) ON a.AlertId = c.AlertId;
        SET @alerts = @found;
        SET @rows = @rows + @alerts;
    END;
    INSERT @days
    SELECT n.[Day], CASE WHEN @alerts > 0 THEN COUNT(*) ELSE 0 END, SUM(n.Recipients)
    FROM (SELECT c.[Day], (SELECT COUNT(*) FROM @recipient r WHERE r.AlertId = c.AlertId) AS Recipients
          FROM @candidates c) n
    GROUP BY n.[Day];
    UPDATE d SET AlertCount = d.AlertCount + n.Alerts, RecipientCount = d.RecipientCount + n.Recipients
    FROM sendport.DailyCount d JOIN @days n ON n.[Day] = d.[Day]
    WHERE d.SendPort = @P2 AND d.Status = @P1;
    INSERT INTO sendport.DailyCount ([Day], SendPort, Status, AlertCount, RecipientCount)
    SELECT n.[Day], @P2, @P1, n.Alerts, n.Recipients
    FROM @days n
    WHERE NOT EXISTS (SELECT 1 FROM sendport.DailyCount d
                      WHERE d.[Day] = n.[Day] AND d.SendPort = @P2 AND d.Status = @P1);
END;
{note_purged}
UPDATE q SET AppliedCount = q.AppliedCount + @alerts
FROM sendport.OperatorRequest q WHERE q.RequestId = @P6 AND @alerts > 0;
COMMIT TRANSACTION;
SELECT @alerts, @rows, @bytes,
       CAST(CASE WHEN @found >= @P4 OR @alerts < @found THEN 1 ELSE 0 END AS bit);
