-- take_over: what a dead owner holds.
SELECT AlertId, AttemptCount, LeasedAt FROM AlertState WHERE LeaseOwner = ?1 ORDER BY AlertId LIMIT ?2
