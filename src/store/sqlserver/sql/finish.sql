-- SqlServerStore::expire, fail_unrouted, adopt
-- Parameters: @status and @explanation for who still waited, @outcomes (AlertId, SeenStatusAt,
-- StatusReason), @recipients (rows to make where there are none). An alert that somebody claimed
-- or changed since it was seen is left alone. Answers how many alerts ended.
SET NOCOUNT ON;
DECLARE @now datetime2(3) = SYSUTCDATETIME();
-- Stands for ' in the texts of the tables: see record.rs.
DECLARE @quote nchar(1) = NCHAR(57383);
DECLARE @held TABLE (AlertId bigint NOT NULL PRIMARY KEY);
DECLARE @follows TABLE (AlertId bigint NOT NULL PRIMARY KEY, Status nvarchar(16) COLLATE Latin1_General_BIN2 NOT NULL);

BEGIN TRANSACTION;
UPDATE a SET DueAt = NULL, FinalAt = @now
OUTPUT inserted.AlertId INTO @held
FROM sendport.AlertRow a JOIN @outcomes o ON o.AlertId = a.AlertId
WHERE a.StatusAt = o.SeenStatusAt AND a.LeaseToken IS NULL AND a.Status IN (N'queued', N'delayed', N'held');

INSERT INTO sendport.Recipient (AlertId, Ordinal, Kind, Address, DisplayName, Status, StatusAt, AttemptCount, Relay,
    Command, ReplyCode, EnhancedStatusCode, ReplyText, ExplanationKey, Remark)
SELECT n.AlertId, n.Ordinal, n.Kind, REPLACE(n.Address COLLATE Latin1_General_BIN2, @quote, N''''),
    REPLACE(n.DisplayName COLLATE Latin1_General_BIN2, @quote, N''''), n.Status, @now, n.AttemptCount, n.Relay,
    n.Command, n.ReplyCode, n.EnhancedStatusCode, REPLACE(n.ReplyText COLLATE Latin1_General_BIN2, @quote, N''''),
    n.ExplanationKey, REPLACE(n.Remark COLLATE Latin1_General_BIN2, @quote, N'''')
FROM @recipients n JOIN @held h ON h.AlertId = n.AlertId
WHERE NOT EXISTS (SELECT 1 FROM sendport.Recipient r WHERE r.AlertId = n.AlertId AND r.Ordinal = n.Ordinal);

-- What the relay last said stays readable.
UPDATE r
SET Status = @status, StatusAt = @now, ExplanationKey = @explanation,
    ReplyText = CASE WHEN r.ReplyText IS NULL THEN REPLACE(o.StatusReason COLLATE Latin1_General_BIN2, @quote, N'''')
                     ELSE REPLACE(o.StatusReason COLLATE Latin1_General_BIN2, @quote, N'''') + N'; the last reply was: ' + r.ReplyText END
FROM sendport.Recipient r
JOIN @held h ON h.AlertId = r.AlertId
JOIN @outcomes o ON o.AlertId = r.AlertId
WHERE r.Status IN (N'queued', N'delayed');

INSERT @follows
SELECT r.AlertId,
       CASE
           WHEN SUM(CASE WHEN r.Status = N'delayed' THEN 1 ELSE 0 END) > 0 THEN N'delayed'
           WHEN SUM(CASE WHEN r.Status = N'queued' THEN 1 ELSE 0 END) > 0 THEN N'queued'
           WHEN SUM(CASE WHEN r.Status = N'relayed' THEN 0 ELSE 1 END) = 0 THEN N'relayed'
           WHEN SUM(CASE WHEN r.Status = N'relayed' THEN 1 ELSE 0 END) > 0 THEN N'partial'
           WHEN SUM(CASE WHEN r.Status = N'expired' THEN 0 ELSE 1 END) = 0 THEN N'expired'
           WHEN SUM(CASE WHEN r.Status = N'cancelled' THEN 0 ELSE 1 END) = 0 THEN N'cancelled'
           WHEN SUM(CASE WHEN r.Status = N'suppressed' THEN 0 ELSE 1 END) = 0 THEN N'suppressed'
           ELSE N'failed' END
FROM sendport.Recipient r JOIN @held h ON h.AlertId = r.AlertId
GROUP BY r.AlertId;

UPDATE a SET Status = COALESCE(w.Status, N'failed'), StatusAt = @now, StatusReason = REPLACE(o.StatusReason COLLATE Latin1_General_BIN2, @quote, N'''')
FROM sendport.AlertRow a
JOIN @held h ON h.AlertId = a.AlertId
JOIN @outcomes o ON o.AlertId = a.AlertId
LEFT JOIN @follows w ON w.AlertId = a.AlertId;
COMMIT TRANSACTION;
SELECT COUNT(*) FROM @held;
