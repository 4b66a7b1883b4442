-- claim: the transaction holds the write lock since before the seek, so no other claim was faster. StatusReason
-- stays, and is shown again where it is given back without an outcome.
UPDATE AlertState
SET Status = 'sending', StatusAt = ?2, DueAt = NULL, LeaseToken = ?3, LeaseOwner = ?4, LeasedAt = ?2
WHERE AlertId = ?1
