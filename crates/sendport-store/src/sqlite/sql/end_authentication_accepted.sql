-- end_authentication: it is right.
INSERT INTO RelayAuthentication (Relay, CredentialFingerprint, State, StateAt, InstanceId)
VALUES (?1, ?2, 'accepted', ?3, ?4)
ON CONFLICT (Relay, CredentialFingerprint) DO UPDATE SET
    State = excluded.State, StateAt = excluded.StateAt, InstanceId = excluded.InstanceId,
    RefusedAt = NULL, ReplyCode = NULL, EnhancedStatusCode = NULL, ReplyText = NULL, UnansweredCount = 0
