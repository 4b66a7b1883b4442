-- One purge runs at a time: each locks this row first, and a second one fails here after LOCK_TIMEOUT.
UPDATE r SET UpdatedAt = @now FROM sendport.RetentionState r WHERE r.RetentionStateId = 1;
IF @@ROWCOUNT = 0
    INSERT INTO sendport.RetentionState (RetentionStateId, UpdatedAt, [Day]) VALUES (1, @now, CONVERT(date, @now));
