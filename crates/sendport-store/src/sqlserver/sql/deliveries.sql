-- SqlServerStore::deliveries
-- @P1 first id, @P2 last id, @P3 limit.
SELECT TOP (@P3) AlertId, Ordinal, Kind, Address, Status, StatusAt, AttemptCount, NextAttemptAt, Relay, Command,
       ReplyCode, EnhancedStatusCode, ReplyText, Fault, Cause, Advice, Remark, MessageId, Protection, SignedBy,
       EncryptedTo
FROM sendport.Delivery WHERE AlertId BETWEEN @P1 AND @P2 ORDER BY AlertId DESC, Ordinal;
