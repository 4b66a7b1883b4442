-- SqlServerStore::register
-- @P1 key, @P2 fault, @P3 cause, @P4 advice.
BEGIN TRANSACTION;
UPDATE e SET Fault = @P2, Cause = @P3, Advice = @P4
FROM sendport.ReplyExplanation e WITH (UPDLOCK, HOLDLOCK) WHERE e.ExplanationKey = @P1;
IF @@ROWCOUNT = 0
    INSERT INTO sendport.ReplyExplanation (ExplanationKey, Fault, Cause, Advice) VALUES (@P1, @P2, @P3, @P4);
COMMIT TRANSACTION;
