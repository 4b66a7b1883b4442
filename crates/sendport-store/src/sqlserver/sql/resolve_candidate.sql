-- SqlServerStore::resolve
-- @P1 alert.
-- Answers how many recipients it has, and the three lists, if it is in doubt.
SELECT (SELECT COUNT(*) FROM sendport.Recipient r WHERE r.AlertId = a.AlertId),
       a.ToRecipients, a.CcRecipients, a.BccRecipients
FROM sendport.AlertRow a
WHERE a.AlertId = @P1 AND EXISTS (SELECT 1 FROM sendport.InDoubt d WHERE d.AlertId = @P1);
