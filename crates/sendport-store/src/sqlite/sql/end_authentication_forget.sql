-- end_authentication: it was not tried, and nothing was known before.
DELETE FROM RelayAuthentication
WHERE Relay = ?1 AND CredentialFingerprint = ?2 AND State = 'trying' AND InstanceId IS ?3 AND RefusedAt IS NULL
  AND UnansweredCount = 0
