-- end_authentication: it is wrong, or not allowed.
INSERT INTO RelayAuthentication (Relay, CredentialFingerprint, State, StateAt, InstanceId, RefusedAt, ReplyCode, EnhancedStatusCode, ReplyText)
VALUES (?1, ?2, 'refused', ?3, ?4, ?3, ?5, ?6, ?7)
ON CONFLICT (Relay, CredentialFingerprint) DO UPDATE SET
    State = excluded.State, StateAt = excluded.StateAt, InstanceId = excluded.InstanceId,
    RefusedAt = excluded.RefusedAt, ReplyCode = excluded.ReplyCode,
    EnhancedStatusCode = excluded.EnhancedStatusCode, ReplyText = excluded.ReplyText,
    UnansweredCount = 0
