-- note_connection_end: the last one counts.
INSERT INTO RelayConnectionEnd (Relay, Recipients, EndedAt, InstanceId)
VALUES (?1, ?2, ?3, ?4)
ON CONFLICT (Relay) DO UPDATE SET Recipients = excluded.Recipients, EndedAt = excluded.EndedAt,
    InstanceId = excluded.InstanceId
