-- purge_alerts: what was deleted of one day.
INSERT INTO DailyCount (Day, SendPort, Status, AlertCount, RecipientCount) VALUES (?1, ?2, ?3, ?4, ?5)
ON CONFLICT (Day, SendPort, Status) DO UPDATE
SET AlertCount = AlertCount + excluded.AlertCount, RecipientCount = RecipientCount + excluded.RecipientCount
