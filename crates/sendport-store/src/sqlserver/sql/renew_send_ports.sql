-- SqlServerStore::renew
-- {names} becomes a list of parameters.
DECLARE @now datetime2(3) = SYSUTCDATETIME();
UPDATE p SET LastSeenAt = @now FROM sendport.SendPort p WHERE p.Name IN ({names});
