-- SqlServerStore::overdue
-- @P1 for how many seconds. Out of one index; waits for no transaction, as depths.sql.
DECLARE @before datetime2(3) = DATEADD(second, -@P1, SYSUTCDATETIME());
SELECT CAST(COUNT(*) AS bigint), MIN(a.LeasedAt)
FROM sendport.AlertRow a WITH (READPAST, READCOMMITTEDLOCK)
WHERE a.LeaseOwner IS NOT NULL AND a.LeasedAt < @before
  AND NOT EXISTS (SELECT 1 FROM sendport.Instance i WHERE i.InstanceId = a.LeaseOwner AND i.LeaseUntil >= @before);
