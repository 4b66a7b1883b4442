-- SqlServerStore::open_requests
-- @P1 limit. READPAST: what is not committed is not in force, and what another instance changes now is read next time.
SELECT TOP (@P1)
{request_columns}
FROM sendport.OperatorRequest o WITH (READPAST, READCOMMITTEDLOCK, INDEX (IX_OperatorRequest_Open), FORCESEEK)
WHERE o.State = N'open'
ORDER BY o.RequestId;
