-- end_sign_in: nothing was learned, and nothing was known before.
DELETE FROM RelaySignIn
WHERE Relay = ?1 AND Secret = ?2 AND State = 'trying' AND InstanceId IS ?3 AND RefusedAt IS NULL
