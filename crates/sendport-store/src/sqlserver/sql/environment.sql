-- SqlServerStore::environment
SELECT Name FROM sendport.Environment WHERE EnvironmentId = 1;
