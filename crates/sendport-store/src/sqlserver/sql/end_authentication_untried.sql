-- SqlServerStore::end_authentication, of one that was not tried
-- @P1 relay, @P2 secret, @P3 instance. What was known before remains.
DELETE FROM sendport.RelayAuthentication
WHERE Relay = @P1 AND CredentialFingerprint = @P2 AND State = N'trying' AND RefusedAt IS NULL AND UnansweredCount = 0
  AND (InstanceId = @P3 OR (InstanceId IS NULL AND @P3 IS NULL));
UPDATE s SET State = CASE WHEN s.RefusedAt IS NULL THEN N'unanswered' ELSE N'refused' END,
             StateAt = COALESCE(s.RefusedAt, s.StateAt)
FROM sendport.RelayAuthentication s
WHERE s.Relay = @P1 AND s.CredentialFingerprint = @P2 AND s.State = N'trying'
  AND (s.InstanceId = @P3 OR (s.InstanceId IS NULL AND @P3 IS NULL));
