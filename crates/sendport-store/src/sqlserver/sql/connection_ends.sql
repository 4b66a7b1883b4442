-- SqlServerStore::connection_ends
-- @P1 the instance that asks, @P2 seconds after which one counts no more: as milliseconds they fit an int.
DECLARE @now datetime2(3) = SYSUTCDATETIME();
SELECT e.Relay, e.Recipients, DATEDIFF(millisecond, e.LostAt, @now)
FROM sendport.RelayConnectionLoss e
WHERE e.InstanceId <> @P1 AND e.LostAt > DATEADD(second, -@P2, @now);
