-- SqlServerStore::migrate
-- @P1 version, @P2 name, @P3 checksum.
INSERT INTO sendport.SchemaVersion (Version, Name, Checksum) VALUES (@P1, @P2, @P3);
