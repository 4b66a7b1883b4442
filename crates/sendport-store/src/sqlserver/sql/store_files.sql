-- SqlServerStore::store_files
-- @P1 alert, @P2 token, and from @P3 on a name and a content for each file; where the braces are, a statement inserts
-- each.
-- Answers 1 where the lease is current. The update comes first: it locks the alert, and where it changes nothing,
-- the lease is lost or the files are stored already.
BEGIN TRANSACTION;
UPDATE a SET FilesStoredAt = SYSUTCDATETIME()
FROM sendport.AlertRow a WITH (INDEX (PK_AlertRow), FORCESEEK)
WHERE a.AlertId = @P1 AND a.LeaseToken = @P2 AND a.FilesStoredAt IS NULL;
IF @@ROWCOUNT = 1
BEGIN
    {files}
END;
COMMIT TRANSACTION;
SELECT COUNT(*) FROM sendport.AlertRow a WITH (INDEX (PK_AlertRow), FORCESEEK)
WHERE a.AlertId = @P1 AND a.LeaseToken = @P2 AND a.FilesStoredAt IS NOT NULL;
