-- park: out of the queue, until a release or the end of a cancel.
UPDATE AlertState
SET Status = 'held', StatusAt = ?2, DueAt = NULL, StatusReason = ?3, StatusReasonCode = ?4, RequestId = ?5
WHERE AlertId = ?1 AND Status IN ('queued', 'delayed')
