-- SqlServerStore::unreported, where a row cannot be read.
-- Parameters and {among} as in unreported.sql. Answers ids, also of digests and of alerts without a failed recipient.
-- Locks nothing, and reads the indexes alone: a row that is damaged is not met here.
DECLARE @since datetime2(3) = DATEADD(second, -@P2, SYSUTCDATETIME());
SELECT TOP (@P3) a.AlertId
FROM sendport.AlertRow a WITH (READPAST, READCOMMITTEDLOCK, INDEX (IX_AlertRow_Live), FORCESEEK)
WHERE a.Status IN (N'partial', N'failed', N'expired') AND a.SendPort = @P1 AND a.FinalAt >= @since
  AND NOT EXISTS (SELECT 1 FROM sendport.FailureNotification t WHERE t.AlertId = a.AlertId)
  {among}
ORDER BY a.FinalAt, a.AlertId;
