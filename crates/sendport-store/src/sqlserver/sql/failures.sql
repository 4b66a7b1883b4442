-- SqlServerStore::failures
-- @P1 limit.
SELECT TOP (@P1) AlertId, SendPort, Address, Status, StatusAt, Relay, ReplyCode, EnhancedStatusCode, Reason, Cause,
       Advice
FROM sendport.FailedDelivery
ORDER BY StatusAt DESC, AlertId DESC, Ordinal;
