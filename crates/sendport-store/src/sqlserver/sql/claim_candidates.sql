-- SqlServerStore::claim, where a lock timed out or a row was refused.
-- @P1 send port, @P2 limit, @P3 head start of a class in seconds, @P4 instance, @P5 token. {without} as in claim.sql.
-- Answers what the token holds already, then ids in the order of work. Locks nothing, and reads the index alone:
-- a row that is damaged is not met here.
SELECT AlertId FROM sendport.AlertRow WITH (INDEX (IX_AlertRow_LeaseOwner), FORCESEEK)
WHERE LeaseOwner = @P4 AND LeaseToken = @P5 ORDER BY AlertId;
DECLARE @now datetime2(3) = SYSUTCDATETIME();
SELECT TOP (@P2) AlertId
FROM sendport.AlertRow WITH (READPAST, READCOMMITTEDLOCK, INDEX (IX_AlertRow_Due), FORCESEEK)
WHERE SendPort = @P1 AND Priority IN (N'urgent', N'normal', N'low') AND DueAt <= @now
  {without}
ORDER BY DATEADD(second, CASE Priority WHEN N'urgent' THEN -2 * @P3 WHEN N'normal' THEN -@P3 ELSE 0 END, DueAt), AlertId;
