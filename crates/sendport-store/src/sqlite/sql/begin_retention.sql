-- begin_retention: takes or renews the right to purge.
INSERT INTO RetentionState (RetentionStateId, InstanceId, LeaseUntil, RunningSince, UpdatedAt, Day)
VALUES (1, ?1, ?3, ?2, ?2, substr(?2, 1, 10))
ON CONFLICT (RetentionStateId) DO UPDATE
SET RunningSince = CASE WHEN InstanceId = excluded.InstanceId THEN coalesce(RunningSince, ?2) ELSE ?2 END,
    InstanceId = excluded.InstanceId, LeaseUntil = excluded.LeaseUntil, UpdatedAt = ?2
WHERE InstanceId = excluded.InstanceId OR LeaseUntil IS NULL OR LeaseUntil <= ?2
