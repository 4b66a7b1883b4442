-- overdue: what is leased to an instance that does not live. ?1 since then at least.
SELECT count(*) AS Alerts, min(s.LeasedAt) AS Since
FROM AlertState s
WHERE s.LeaseOwner IS NOT NULL AND s.LeasedAt < ?1
  AND NOT EXISTS (SELECT 1 FROM Instance i WHERE i.InstanceId = s.LeaseOwner AND i.LeaseUntil >= ?1)
