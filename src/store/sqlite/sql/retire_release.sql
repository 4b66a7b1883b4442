-- retire: an alert that it still held goes back without spending an attempt.
UPDATE AlertState
SET Status = CASE WHEN EXISTS (SELECT 1 FROM Recipient r
                               WHERE r.AlertId = AlertState.AlertId AND r.Status = 'delayed')
                  THEN 'delayed' ELSE 'queued' END,
    StatusAt = ?2, DueAt = ?2, LeaseToken = NULL, LeaseOwner = NULL, LeasedAt = NULL
WHERE AlertId = ?1
