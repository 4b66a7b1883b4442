-- SqlServerStore::migrate, and "migrate --print"
EXEC sp_releaseapplock @Resource = N'sendport_migrate', @LockOwner = N'Session';
