-- begin_authentication: this one tries it alone; a refusal that has rested stays readable meanwhile.
INSERT INTO RelayAuthentication (Relay, CredentialFingerprint, State, StateAt, InstanceId)
VALUES (?1, ?2, 'trying', ?3, ?4)
ON CONFLICT (Relay, CredentialFingerprint) DO UPDATE SET
    State = excluded.State, StateAt = excluded.StateAt, InstanceId = excluded.InstanceId
