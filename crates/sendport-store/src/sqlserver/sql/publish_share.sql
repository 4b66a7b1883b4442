-- SqlServerStore::publish_share
-- @P1 id, @P2 among how many it shares (0: it waits before it begins, and does not count), @P3 how many seconds to look back for instances that ended. Answers how
-- many others live, how many of them are older (all, where this one does not live), the smallest
-- number that they share among, and how many seconds ago the last of the dead ended.
DECLARE @now datetime2(3) = SYSUTCDATETIME();
UPDATE i SET ShareCount = @P2 FROM sendport.Instance i WHERE i.InstanceId = @P1 AND i.ShareCount <> @P2;
DECLARE @started datetime2(3) = (SELECT m.StartedAt FROM sendport.Instance m
                                 WHERE m.InstanceId = @P1 AND m.StoppedAt IS NULL AND m.LeaseUntil > @now);
SELECT COALESCE(SUM(o.Lives), 0),
       COALESCE(SUM(CASE WHEN o.Lives = 1 AND (@started IS NULL OR o.StartedAt < @started
                                               OR (o.StartedAt = @started AND o.InstanceId < @P1))
                         THEN 1 ELSE 0 END), 0),
       MIN(CASE WHEN o.Lives = 1 THEN o.ShareCount END),
       DATEDIFF(second, MAX(CASE WHEN o.Lives = 0 THEN o.EndedAt END), @now)
FROM (SELECT i.InstanceId, i.StartedAt, i.ShareCount,
             CASE WHEN i.StoppedAt IS NULL AND i.LeaseUntil > @now THEN 1 ELSE 0 END AS Lives,
             CASE WHEN i.StoppedAt < i.LeaseUntil THEN i.StoppedAt ELSE i.LeaseUntil END AS EndedAt
      FROM sendport.Instance i
      WHERE i.InstanceId <> @P1 AND i.ShareCount > 0 AND i.LeaseUntil >= DATEADD(second, -@P3, @now)) o;
