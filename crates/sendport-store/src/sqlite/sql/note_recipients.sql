-- note_recipients: the last one counts.
INSERT INTO RelayRecipientLimit (Relay, Recipients, PauseSeconds, LearnedAt, InstanceId)
VALUES (?1, ?2, ?3, ?4, ?5)
ON CONFLICT (Relay) DO UPDATE SET Recipients = excluded.Recipients, PauseSeconds = excluded.PauseSeconds,
    LearnedAt = excluded.LearnedAt, InstanceId = excluded.InstanceId
