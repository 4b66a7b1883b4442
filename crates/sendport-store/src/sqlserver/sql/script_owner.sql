-- Stops if the schema belongs to another user than dbo, who could read and change all of it.
DECLARE @owner nvarchar(128) = (SELECT USER_NAME(principal_id) FROM sys.schemas WHERE schema_id = SCHEMA_ID(N'sendport'));
DECLARE @refusal nvarchar(400) = CONCAT(N'the schema sendport belongs to ', @owner,
    N', which may therefore read and change all of it; expected dbo: run ALTER AUTHORIZATION ON SCHEMA::sendport TO dbo');
IF @owner <> N'dbo' THROW 50003, @refusal, 1;
