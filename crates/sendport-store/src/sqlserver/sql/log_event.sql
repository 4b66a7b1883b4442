-- SqlServerStore::log_event
INSERT INTO sendport.EventLog (Severity, EventType, InstanceId, AlertId, SendPort, Relay, Message)
VALUES (@P1, @P2, @P3, @P4, @P5, @P6, @P7);
