-- take_over: the owners of leases, read by skipping through the index, and whether each may keep them.
WITH RECURSIVE Owner (LeaseOwner) AS (
    SELECT (SELECT LeaseOwner FROM AlertState WHERE LeaseOwner IS NOT NULL ORDER BY LeaseOwner LIMIT 1)
    UNION ALL
    SELECT (SELECT s.LeaseOwner FROM AlertState s WHERE s.LeaseOwner > o.LeaseOwner ORDER BY s.LeaseOwner LIMIT 1)
    FROM Owner o WHERE o.LeaseOwner IS NOT NULL
)
SELECT o.LeaseOwner, i.HostName, i.ProcessId, i.StoppedAt
FROM Owner o
LEFT JOIN Instance i ON i.InstanceId = o.LeaseOwner
WHERE o.LeaseOwner IS NOT NULL AND o.LeaseOwner <> ?1
  AND (i.InstanceId IS NULL OR i.StoppedAt IS NOT NULL OR i.LeaseUntil < ?2)
