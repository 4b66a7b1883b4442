-- take_over: the attempt is spent, and the alert is due at once.
UPDATE AlertState
SET Status = CASE WHEN EXISTS (SELECT 1 FROM Recipient r
                               WHERE r.AlertId = AlertState.AlertId AND r.Status = 'delayed')
                  THEN 'delayed' ELSE 'queued' END,
    StatusAt = ?2, DueAt = ?2, AttemptCount = AttemptCount + 1,
    LeaseToken = NULL, LeaseOwner = NULL, LeasedAt = NULL
WHERE AlertId = ?1
