-- finish (expire, fail_unrouted, adopt): nothing more happens to it.
UPDATE AlertState
SET Status = ?2, StatusAt = ?3, StatusReason = ?4, StatusReasonCode = NULL, DueAt = NULL, ExpiresAt = NULL,
    FinalAt = ?3, LeaseToken = NULL, LeaseOwner = NULL, LeasedAt = NULL
WHERE AlertId = ?1
