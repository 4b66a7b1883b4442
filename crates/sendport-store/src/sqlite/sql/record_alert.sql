-- record: what was decided, and the lease is given up.
UPDATE AlertState
SET Status = ?2, StatusAt = ?3, StatusReason = ?4, StatusReasonCode = ?9, DueAt = ?5,
    AttemptCount = max(AttemptCount, ?6), TemplateVersion = coalesce(TemplateVersion, ?7),
    FinalAt = CASE WHEN ?8 THEN ?3 END, ExpiresAt = CASE WHEN ?8 THEN NULL ELSE ExpiresAt END,
    LeaseToken = NULL, LeaseOwner = NULL, LeasedAt = NULL
WHERE AlertId = ?1
