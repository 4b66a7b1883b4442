-- purge_alerts: some attempts of one alert, whose replies are gone.
DELETE FROM Attempt WHERE AttemptId IN (SELECT t.AttemptId FROM Attempt t WHERE t.AlertId = ?1 LIMIT ?2)
