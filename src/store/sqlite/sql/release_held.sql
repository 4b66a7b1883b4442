-- release_held: one alert.
UPDATE AlertState
SET Status = CASE WHEN EXISTS (SELECT 1 FROM Recipient r
                               WHERE r.AlertId = AlertState.AlertId AND r.Status = 'delayed')
                  THEN 'delayed' ELSE 'queued' END,
    StatusAt = ?1, StatusReason = NULL,
    DueAt = max(?1, coalesce((SELECT a.NotBefore FROM Alert a WHERE a.AlertId = AlertState.AlertId), ?1))
WHERE AlertId = ?2 AND Status = 'held'
