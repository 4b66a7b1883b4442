-- end_authentication: the relay did not answer it. The second in a row counts as a refusal.
INSERT INTO RelayAuthentication (Relay, CredentialFingerprint, State, StateAt, InstanceId, ReplyCode, EnhancedStatusCode, ReplyText, UnansweredCount)
VALUES (?1, ?2, 'unanswered', ?3, ?4, ?5, ?6, ?7, 1)
ON CONFLICT (Relay, CredentialFingerprint) DO UPDATE SET
    State = iif(RefusedAt IS NULL AND UnansweredCount = 0, excluded.State, 'refused'),
    RefusedAt = iif(RefusedAt IS NULL AND UnansweredCount = 0, NULL, excluded.StateAt),
    UnansweredCount = UnansweredCount + 1,
    StateAt = excluded.StateAt, InstanceId = excluded.InstanceId, ReplyCode = excluded.ReplyCode,
    EnhancedStatusCode = excluded.EnhancedStatusCode, ReplyText = excluded.ReplyText
