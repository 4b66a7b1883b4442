-- purge_alerts, and all that purges: the counts of the day in the view RetentionProgress.
INSERT INTO RetentionState (RetentionStateId, UpdatedAt, Day, PurgedAlerts, PurgedBodies, PurgedRows, PurgedBytes)
VALUES (1, ?1, ?2, ?3, ?4, ?5, ?6)
ON CONFLICT (RetentionStateId) DO UPDATE
SET UpdatedAt = excluded.UpdatedAt, Day = excluded.Day,
    PurgedAlerts = CASE WHEN Day = excluded.Day THEN PurgedAlerts ELSE 0 END + excluded.PurgedAlerts,
    PurgedBodies = CASE WHEN Day = excluded.Day THEN PurgedBodies ELSE 0 END + excluded.PurgedBodies,
    PurgedRows = CASE WHEN Day = excluded.Day THEN PurgedRows ELSE 0 END + excluded.PurgedRows,
    PurgedBytes = CASE WHEN Day = excluded.Day THEN PurgedBytes ELSE 0 END + excluded.PurgedBytes
