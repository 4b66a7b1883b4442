UPDATE r
SET [Day] = CONVERT(date, @now),
    PurgedAlerts = CASE WHEN r.[Day] = CONVERT(date, @now) THEN r.PurgedAlerts ELSE 0 END + @alerts,
    PurgedBodies = CASE WHEN r.[Day] = CONVERT(date, @now) THEN r.PurgedBodies ELSE 0 END + @bodies,
    PurgedRows = CASE WHEN r.[Day] = CONVERT(date, @now) THEN r.PurgedRows ELSE 0 END + @rows,
    PurgedBytes = CASE WHEN r.[Day] = CONVERT(date, @now) THEN r.PurgedBytes ELSE 0 END + @bytes
FROM sendport.RetentionState r WHERE r.RetentionStateId = 1;
