-- SqlServerStore::insert_received
-- @P1 is the id of the mail transaction, which becomes the alert's PublicId, so that repeating it inserts once; {content}
-- becomes statements that insert the octets.
DECLARE @id bigint;
BEGIN TRANSACTION;
IF NOT EXISTS (SELECT 1 FROM sendport.AlertRow a WITH (INDEX (UQ_Alert_PublicId), FORCESEEK) WHERE a.PublicId = @P1)
BEGIN
    {received_rows}
    {content}
END;
COMMIT TRANSACTION;
SELECT a.AlertId FROM sendport.AlertRow a WITH (INDEX (UQ_Alert_PublicId), FORCESEEK) WHERE a.PublicId = @P1;
