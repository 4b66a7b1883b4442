-- roll_up: up to which minute all is counted.
INSERT INTO RollupState (RollupStateId, CountedTo, UpdatedAt) VALUES (1, ?1, ?2)
ON CONFLICT (RollupStateId) DO UPDATE SET CountedTo = excluded.CountedTo, UpdatedAt = excluded.UpdatedAt
