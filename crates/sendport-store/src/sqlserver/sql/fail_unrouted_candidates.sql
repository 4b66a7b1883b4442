-- SqlServerStore::fail_unrouted, where a row was refused.
-- Parameters and {among} as in fail_unrouted.sql. Answers ids, also of alerts that wait for a NotBefore. Locks nothing,
-- and reads the index alone: a row that is damaged is not met here.
DECLARE @before datetime2(3) = DATEADD(second, -@P2, SYSUTCDATETIME());
SELECT TOP (@P1) a.AlertId
FROM sendport.AlertRow a WITH (READPAST, READCOMMITTEDLOCK, INDEX (IX_AlertRow_Due), FORCESEEK)
WHERE a.SendPort >= N'' AND a.DueAt <= @before
  AND NOT EXISTS (SELECT 1 FROM sendport.SendPort p WHERE p.Name = a.SendPort AND p.LastSeenAt > @before)
  {among}
ORDER BY a.AlertId;
