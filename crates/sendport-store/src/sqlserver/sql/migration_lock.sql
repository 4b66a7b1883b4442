-- Only one migration of a database runs at a time. The lock ends with the transaction.
DECLARE @lock int;
EXEC @lock = sp_getapplock @Resource = N'sendport_migrate', @LockMode = N'Exclusive', @LockOwner = N'Transaction', @LockTimeout = 20000;
IF @lock < 0 THROW 587001, N'another migration of sendport is running on this database: try again when it has ended', 1;
