-- resolve: what follows for the alert.
UPDATE AlertState
SET Status = ?2, StatusAt = ?3, StatusReason = ?4, StatusReasonCode = NULL,
    DueAt = CASE WHEN ?5 THEN NULL ELSE ?3 END,
    FinalAt = CASE WHEN ?5 THEN ?3 END,
    ExpiresAt = CASE WHEN ?5 THEN NULL ELSE ExpiresAt END, RequestId = ?6
WHERE AlertId = ?1
