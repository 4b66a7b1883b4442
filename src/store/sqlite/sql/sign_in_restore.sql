-- end_sign_in: nothing was learned, so an earlier refusal stands as it stood.
UPDATE RelaySignIn SET State = 'refused', StateAt = RefusedAt
WHERE Relay = ?1 AND Secret = ?2 AND State = 'trying' AND InstanceId IS ?3 AND RefusedAt IS NOT NULL
