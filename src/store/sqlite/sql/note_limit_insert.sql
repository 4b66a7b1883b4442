-- note_limit: nobody knew one.
INSERT INTO RelayLimit (Relay, Connections, ChangedAt, InstanceId, ThrottledBy)
VALUES (?1, ?2, ?3, ?4, ?5)
ON CONFLICT (Relay) DO NOTHING
