-- claim: the transaction holds the write lock since before the seek, so nobody was quicker.
UPDATE AlertState
SET Status = 'sending', StatusAt = ?2, StatusReason = NULL, DueAt = NULL, LeaseToken = ?3, LeaseOwner = ?4, LeasedAt = ?2
WHERE AlertId = ?1
