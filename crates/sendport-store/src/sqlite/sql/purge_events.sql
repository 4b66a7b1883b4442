-- purge_events: rows are in the order of time, so only the first ones are looked at.
DELETE FROM EventLog
WHERE EventId IN (SELECT e.EventId FROM EventLog e ORDER BY e.EventId LIMIT ?2) AND LoggedAt <= ?1
