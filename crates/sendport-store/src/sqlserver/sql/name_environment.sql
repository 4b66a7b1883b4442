-- SqlServerStore::name_environment, adopt
-- @P1 name, @P2 whether an existing name is replaced and all instances are deleted. Answers the name.
DECLARE @now datetime2(3) = SYSUTCDATETIME();
BEGIN TRANSACTION;
UPDATE e SET Name = CASE WHEN @P2 = 1 THEN @P1 ELSE e.Name END,
             AdoptedAt = CASE WHEN @P2 = 1 THEN @now ELSE e.AdoptedAt END
FROM sendport.Environment e WITH (UPDLOCK, HOLDLOCK) WHERE e.EnvironmentId = 1;
IF @@ROWCOUNT = 0
    INSERT INTO sendport.Environment (EnvironmentId, Name, AdoptedAt) VALUES (1, @P1, @now);
IF @P2 = 1
BEGIN
    DELETE FROM sendport.RelayState;
    DELETE FROM sendport.Instance;
END;
COMMIT TRANSACTION;
SELECT Name FROM sendport.Environment WHERE EnvironmentId = 1;
