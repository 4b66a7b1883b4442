-- SqlServerStore::requests
-- @P1 limit. READPAST: waits for no open transaction.
SELECT TOP (@P1)
{request_columns}
FROM sendport.OperatorRequest o WITH (READPAST, READCOMMITTEDLOCK)
ORDER BY o.RequestId DESC;
