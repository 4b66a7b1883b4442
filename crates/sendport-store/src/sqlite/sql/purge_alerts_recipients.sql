-- purge_alerts: some recipients of one alert.
DELETE FROM Recipient
WHERE (AlertId, Ordinal) IN (SELECT r.AlertId, r.Ordinal FROM Recipient r WHERE r.AlertId = ?1 LIMIT ?2)
