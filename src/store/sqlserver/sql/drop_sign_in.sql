-- SqlServerStore::end_sign_in, of an end that tells nothing
-- @P1 relay, @P2 secret, @P3 instance. An earlier refusal stands as it stood.
DELETE FROM sendport.RelaySignIn
WHERE Relay = @P1 AND Secret = @P2 AND State = N'trying' AND RefusedAt IS NULL
  AND (InstanceId = @P3 OR (InstanceId IS NULL AND @P3 IS NULL));
UPDATE s SET State = N'refused', StateAt = s.RefusedAt
FROM sendport.RelaySignIn s
WHERE s.Relay = @P1 AND s.Secret = @P2 AND s.State = N'trying' AND s.RefusedAt IS NOT NULL
  AND (s.InstanceId = @P3 OR (s.InstanceId IS NULL AND @P3 IS NULL));
