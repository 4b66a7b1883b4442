-- record: back into the queue as it was.
UPDATE AlertState
SET Status = CASE WHEN EXISTS (SELECT 1 FROM Recipient r
                               WHERE r.AlertId = AlertState.AlertId AND r.Status = 'delayed')
                  THEN 'delayed' ELSE 'queued' END,
    StatusAt = ?2, StatusReason = ?4, DueAt = ?3, LeaseToken = NULL, LeaseOwner = NULL, LeasedAt = NULL
WHERE AlertId = ?1
