-- release_held: one alert, by the request ?4.
UPDATE AlertState
SET Status = ?3,
    StatusAt = ?1, StatusReason = NULL, StatusReasonCode = NULL, RequestId = ?4,
    DueAt = max(?1, coalesce((SELECT a.NotBefore FROM Alert a WHERE a.AlertId = AlertState.AlertId), ?1))
WHERE AlertId = ?2 AND Status = 'held'
