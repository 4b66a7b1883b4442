-- SqlServerStore::record
-- Parameters: @key, @text. By itself, because a text of more than 65,535 bytes does not go into a table.
UPDATE t SET EncryptedTo = @text
FROM sendport.Attempt t WITH (INDEX (UQ_Attempt_AttemptKey), FORCESEEK)
WHERE t.AttemptKey = @key AND t.EncryptedTo IS NULL;
