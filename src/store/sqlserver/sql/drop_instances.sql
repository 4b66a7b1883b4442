-- SqlServerStore::adopt
DELETE FROM sendport.RelayState;
DELETE FROM sendport.Instance;
