-- SqlServerStore::take_over, where a lock timed out or a row was refused.
-- Parameters and {among} as in take_over.sql. Answers ids. Locks nothing, and reads the index alone: a row
-- that is damaged is not met here.
DECLARE @now datetime2(3) = SYSUTCDATETIME();
SELECT TOP (@P2) a.AlertId
FROM sendport.AlertRow a WITH (READPAST, READCOMMITTEDLOCK, INDEX (IX_AlertRow_LeaseOwner), FORCESEEK)
WHERE a.LeaseOwner IS NOT NULL AND a.LeaseOwner <> @P1
  AND NOT EXISTS (SELECT 1 FROM sendport.Instance i WHERE i.InstanceId = a.LeaseOwner AND i.LeaseUntil > @now)
  {among};
