-- SqlServerStore::purge_feedback
-- @P1 seconds since ReceivedAt, @P2 most rows. Answers how many were deleted.
-- Reports that match no alert; the others go with their alerts.
SET LOCK_TIMEOUT 250;
DECLARE @now datetime2(3) = SYSUTCDATETIME();
DECLARE @before datetime2(3) = DATEADD(second, -@P1, @now);
DECLARE @alerts bigint = 0, @bodies bigint = 0, @rows bigint = 0, @bytes bigint = 0;
DECLARE @first TABLE (FeedbackId bigint NOT NULL PRIMARY KEY);
BEGIN TRANSACTION;
{lock_retention}
INSERT @first
SELECT TOP (@P2) f.FeedbackId
FROM sendport.Feedback f WITH (READPAST, ROWLOCK, READCOMMITTEDLOCK, INDEX (IX_Feedback_AlertId), FORCESEEK)
WHERE f.AlertId IS NULL AND f.ReceivedAt <= @before;
DELETE f
FROM @first x
JOIN sendport.Feedback f WITH (ROWLOCK, INDEX (PK_Feedback), FORCESEEK) ON f.FeedbackId = x.FeedbackId;
SET @rows = @@ROWCOUNT;
{note_purged}
COMMIT TRANSACTION;
SELECT @rows;
