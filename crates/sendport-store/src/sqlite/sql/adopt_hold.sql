-- adopt: an alert that is not final waits for an operator.
UPDATE AlertState
SET Status = 'held', StatusAt = ?1, StatusReason = ?2, StatusReasonCode = NULL, DueAt = NULL,
    LeaseToken = NULL, LeaseOwner = NULL, LeasedAt = NULL
WHERE AlertId = ?3
