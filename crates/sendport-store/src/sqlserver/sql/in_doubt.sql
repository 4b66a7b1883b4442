-- SqlServerStore::in_doubt
-- @P1 limit. What has been in doubt longest first.
SELECT TOP (@P1) AlertId, PublicId, Reference, SendPort, Subject, Status, StatusReason, AttemptNumber, Relay, MessageId,
       StartedAt, EndedAt, RemoteAddress, NextAttemptAt, CreatedAt, CreatedBy
FROM sendport.InDoubt ORDER BY EndedAt, AlertId;
