-- note_limit: none was known.
INSERT INTO RelayConnectionLimit (Relay, Connections, ChangedAt, InstanceId, ThrottleReason)
VALUES (?1, ?2, ?3, ?4, ?5)
ON CONFLICT (Relay) DO NOTHING
