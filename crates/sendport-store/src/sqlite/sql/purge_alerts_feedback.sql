-- purge_alerts: some of what was reported of the recipients of one alert.
DELETE FROM RecipientFeedback
WHERE RecipientFeedbackId IN (SELECT f.RecipientFeedbackId FROM RecipientFeedback f WHERE f.AlertId = ?1 LIMIT ?2)
