-- SqlServerStore::end_authentication, with a result
-- @P1 relay, @P2 secret, @P3 instance, @P4 accepted, refused or unanswered, @P5 code, @P6 enhanced code, @P7 text,
-- @P8 seconds after which other secrets are forgotten. The second in a row that the relay did not
-- answer counts as a refusal.
DECLARE @now datetime2(3) = SYSUTCDATETIME();
BEGIN TRY
    INSERT INTO sendport.RelayAuthentication (Relay, CredentialFingerprint, State, StateAt, InstanceId)
    SELECT @P1, @P2, N'trying', @now, @P3
    WHERE NOT EXISTS (SELECT 1 FROM sendport.RelayAuthentication x WHERE x.Relay = @P1 AND x.CredentialFingerprint = @P2);
END TRY
BEGIN CATCH
    IF ERROR_NUMBER() NOT IN (2601, 2627) THROW;
END CATCH;
UPDATE s
SET State = CASE WHEN @P4 = N'unanswered' AND (s.RefusedAt IS NOT NULL OR s.UnansweredCount > 0) THEN N'refused' ELSE @P4 END,
    RefusedAt = CASE WHEN @P4 = N'refused' OR (@P4 = N'unanswered' AND (s.RefusedAt IS NOT NULL OR s.UnansweredCount > 0)) THEN @now END,
    UnansweredCount = CASE WHEN @P4 = N'unanswered' THEN s.UnansweredCount + 1 ELSE 0 END,
    StateAt = @now, InstanceId = @P3, ReplyCode = @P5, EnhancedStatusCode = @P6, ReplyText = @P7
FROM sendport.RelayAuthentication s WHERE s.Relay = @P1 AND s.CredentialFingerprint = @P2;
DELETE FROM sendport.RelayAuthentication WHERE Relay = @P1 AND CredentialFingerprint <> @P2 AND StateAt < DATEADD(second, -@P8, @now);
