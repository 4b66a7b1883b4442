-- SqlServerStore::inherit
-- @P1 heir, @P2 alert, @P3 token.
UPDATE a SET LeaseOwner = @P1
FROM sendport.AlertRow a WHERE a.AlertId = @P2 AND a.LeaseToken = @P3;
