-- show_retention: only of the instance that purges.
UPDATE RetentionState
SET PausedReason = ?2, OldestFinalAt = ?3, OldestBodyAt = ?4, RunningSince = CASE WHEN ?5 THEN NULL ELSE RunningSince END
WHERE RetentionStateId = 1 AND InstanceId = ?1
