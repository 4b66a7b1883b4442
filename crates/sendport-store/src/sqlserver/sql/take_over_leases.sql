-- SqlServerStore::take_over_leases
-- @P1 new_owner, @P2 alert, @P3 token.
UPDATE a SET LeaseOwner = @P1
FROM sendport.AlertRow a WHERE a.AlertId = @P2 AND a.LeaseToken = @P3;
