-- end_authentication: it was not tried, so what was known before remains.
UPDATE RelayAuthentication
SET State = iif(RefusedAt IS NULL, 'unanswered', 'refused'), StateAt = coalesce(RefusedAt, StateAt)
WHERE Relay = ?1 AND CredentialFingerprint = ?2 AND State = 'trying' AND InstanceId IS ?3
