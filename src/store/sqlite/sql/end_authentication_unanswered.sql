-- end_authentication: the relay did not answer it. The second in a row counts as a refusal.
INSERT INTO RelayAuthentication (Relay, Secret, State, StateAt, InstanceId, ReplyCode, EnhancedStatusCode, ReplyText, Unanswered)
VALUES (?1, ?2, 'unanswered', ?3, ?4, ?5, ?6, ?7, 1)
ON CONFLICT (Relay, Secret) DO UPDATE SET
    State = iif(RefusedAt IS NULL AND Unanswered = 0, excluded.State, 'refused'),
    RefusedAt = iif(RefusedAt IS NULL AND Unanswered = 0, NULL, excluded.StateAt),
    Unanswered = Unanswered + 1,
    StateAt = excluded.StateAt, InstanceId = excluded.InstanceId, ReplyCode = excluded.ReplyCode,
    EnhancedStatusCode = excluded.EnhancedStatusCode, ReplyText = excluded.ReplyText
