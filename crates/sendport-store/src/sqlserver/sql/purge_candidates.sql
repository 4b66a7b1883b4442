-- SqlServerStore::purge
-- @P1 status, @P2 send port, @P3 seconds since FinalAt, @P4 most alerts, @P5 0 for those with their body and 1 for those
-- without. {index} is the index to seek in; {created} and {among} become conditions, or nothing. Answers AlertId of
-- what a batch would delete.
DECLARE @before datetime2(3) = DATEADD(second, -@P3, SYSUTCDATETIME());
SELECT TOP (@P4) a.AlertId
FROM sendport.AlertRow a WITH (READPAST, READCOMMITTEDLOCK, INDEX ({index}), FORCESEEK)
WHERE a.Status = @P1 AND a.SendPort = @P2 AND a.BodyPurged = @P5 AND a.FinalAt <= @before AND a.LeaseToken IS NULL
  {created}
  {among}
ORDER BY a.CreatedAt, a.AlertId;
