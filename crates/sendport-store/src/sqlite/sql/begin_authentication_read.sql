-- begin_authentication: what is known of credentials, and whether the instance that tries them is alive.
SELECT s.State, s.StateAt, s.RefusedAt, s.ReplyCode, s.EnhancedStatusCode, s.ReplyText, s.InstanceId,
       s.InstanceId IS NULL OR EXISTS (SELECT 1 FROM Instance i WHERE i.InstanceId = s.InstanceId
                                       AND i.StoppedAt IS NULL AND i.LeaseUntil > ?3) AS Lives
FROM RelayAuthentication s
WHERE s.Relay = ?1 AND s.CredentialFingerprint = ?2
