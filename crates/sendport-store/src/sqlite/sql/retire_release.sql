-- retire: an alert that it still held goes back without spending an attempt.
UPDATE AlertState
SET Status = ?3,
    StatusAt = ?2, DueAt = ?2, LeaseToken = NULL, LeaseOwner = NULL, LeasedAt = NULL
WHERE AlertId = ?1
