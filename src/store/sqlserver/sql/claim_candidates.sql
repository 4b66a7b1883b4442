-- SqlServerStore::claim, where a lock was waited for in vain.
-- @P1 send port, @P2 limit, @P3 head start of a class in seconds. Answers ids in the order of work; locks
-- nothing.
DECLARE @now datetime2(3) = SYSUTCDATETIME();
SELECT TOP (@P2) a.AlertId
FROM sendport.AlertRow a WITH (READPAST, READCOMMITTEDLOCK, INDEX (IX_AlertState_Due), FORCESEEK)
WHERE a.SendPort = @P1 AND a.Priority IN (N'urgent', N'normal', N'low') AND a.DueAt <= @now
  AND (a.NotBefore IS NULL OR a.NotBefore <= @now)
ORDER BY DATEADD(second, CASE a.Priority WHEN N'urgent' THEN -2 * @P3 WHEN N'normal' THEN -@P3 ELSE 0 END, a.DueAt), a.AlertId;
