-- note_connection_end: the last one counts.
INSERT INTO RelayConnectionLoss (Relay, Recipients, LostAt, InstanceId)
VALUES (?1, ?2, ?3, ?4)
ON CONFLICT (Relay) DO UPDATE SET Recipients = excluded.Recipients, LostAt = excluded.LostAt,
    InstanceId = excluded.InstanceId
