-- Stops if the schema exists already: this script only creates a new one.
DECLARE @version int = (SELECT MAX(Version) FROM sendport.SchemaVersion);
DECLARE @refusal nvarchar(400) = CONCAT(N'this database has the schema sendport in version ', @version,
    N' already: nothing was changed. Run "sendport migrate", which applies what is missing or says what to do');
IF @version IS NOT NULL THROW 50002, @refusal, 1;
