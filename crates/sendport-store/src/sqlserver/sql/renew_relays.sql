-- SqlServerStore::renew
-- @P1 id, and from @P2 on the states: {rows} becomes (@P1, @P2, ...), ...
BEGIN TRANSACTION;
DELETE FROM sendport.RelayState WHERE InstanceId = @P1;
INSERT INTO sendport.RelayState (InstanceId, Relay, Condition, Since, RetryAt, Reply, ExplanationKey, Connections, MessageRate, ThrottleReason, MaxRecipients) VALUES {rows};
COMMIT TRANSACTION;
