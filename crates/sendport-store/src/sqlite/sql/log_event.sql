-- log_event, resolve, notify_expiry
INSERT INTO EventLog (LoggedAt, Severity, EventType, InstanceId, AlertId, SendPort, Relay, Message)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
