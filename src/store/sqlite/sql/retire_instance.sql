-- retire: the run has ended, and so has its lease.
UPDATE Instance SET StoppedAt = coalesce(StoppedAt, ?2), LeaseUntil = min(LeaseUntil, ?2)
WHERE InstanceId = ?1
