-- SqlServerStore::begin_authentication
-- @P1 relay, @P2 secret, @P3 instance, @P4 seconds after which a try is void, @P5 seconds that a
-- refusal rests, @P6 the reply text of a try without a recorded result. An instance that asks again for a turn
-- that it has did not get the answer. Answers whether it is this one's turn alone, and what is stored about the
-- credentials; nothing where another one removed it meanwhile.
DECLARE @now datetime2(3) = SYSUTCDATETIME();
-- An instance that crashed in the middle of it left it unanswered: the relay may have seen it.
UPDATE s
SET State = CASE WHEN s.RefusedAt IS NOT NULL OR s.UnansweredCount > 0 THEN N'refused' ELSE N'unanswered' END,
    RefusedAt = CASE WHEN s.RefusedAt IS NOT NULL OR s.UnansweredCount > 0 THEN @now END,
    UnansweredCount = s.UnansweredCount + 1,
    StateAt = @now, ReplyCode = 0, EnhancedStatusCode = NULL, ReplyText = @P6
FROM sendport.RelayAuthentication s
WHERE s.Relay = @P1 AND s.CredentialFingerprint = @P2 AND s.State = N'trying'
  AND (s.InstanceId IS NULL OR @P3 IS NULL OR s.InstanceId <> @P3)
  AND (s.StateAt <= DATEADD(second, -@P4, @now)
       OR (s.InstanceId IS NOT NULL
           AND NOT EXISTS (SELECT 1 FROM sendport.Instance i
                           WHERE i.InstanceId = s.InstanceId AND i.StoppedAt IS NULL AND i.LeaseUntil > @now)));
DECLARE @alone int = 0;
-- Each of the two statements is its own transaction, and only one of many can be the one that
-- changes the row or makes it.
UPDATE s SET State = N'trying', StateAt = @now, InstanceId = @P3
FROM sendport.RelayAuthentication s
WHERE s.Relay = @P1 AND s.CredentialFingerprint = @P2
  AND (s.State = N'unanswered' OR (s.State = N'refused' AND s.RefusedAt <= DATEADD(second, -@P5, @now))
       OR (s.State = N'trying' AND s.InstanceId = @P3));
SET @alone = @@ROWCOUNT;
IF @alone = 0
BEGIN
    BEGIN TRY
        INSERT INTO sendport.RelayAuthentication (Relay, CredentialFingerprint, State, StateAt, InstanceId)
        SELECT @P1, @P2, N'trying', @now, @P3
        WHERE NOT EXISTS (SELECT 1 FROM sendport.RelayAuthentication x WHERE x.Relay = @P1 AND x.CredentialFingerprint = @P2);
        SET @alone = @@ROWCOUNT;
    END TRY
    BEGIN CATCH
        IF ERROR_NUMBER() NOT IN (2601, 2627) THROW;
        SET @alone = 0;
    END CATCH;
END;
SELECT @alone, s.State, DATEDIFF(second, @now, DATEADD(second, @P5, s.RefusedAt)), s.ReplyCode, s.EnhancedStatusCode,
       s.ReplyText
FROM sendport.RelayAuthentication s WHERE s.Relay = @P1 AND s.CredentialFingerprint = @P2;
