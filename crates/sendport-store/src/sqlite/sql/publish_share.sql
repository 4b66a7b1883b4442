-- publish_share: how many others live, how many of those are older (all, where this one does not live), the
-- smallest number that they share among, and when the last of the dead ended. One that waits before it
-- begins (ShareCount = 0) does not count.
SELECT count(CASE WHEN o.Lives THEN 1 END) AS Others,
       count(CASE WHEN o.Lives AND (me.StartedAt IS NULL OR o.StartedAt < me.StartedAt
                                    OR (o.StartedAt = me.StartedAt AND o.InstanceId < ?1)) THEN 1 END) AS Older,
       min(CASE WHEN o.Lives THEN o.ShareCount END) AS LeastShares,
       max(CASE WHEN NOT o.Lives THEN min(coalesce(o.StoppedAt, o.LeaseUntil), o.LeaseUntil) END) AS LastEndedAt
FROM (SELECT *, StoppedAt IS NULL AND LeaseUntil > ?2 AS Lives FROM Instance
      WHERE InstanceId <> ?1 AND ShareCount > 0) o
LEFT JOIN (SELECT StartedAt FROM Instance WHERE InstanceId = ?1 AND StoppedAt IS NULL AND LeaseUntil > ?2) me
