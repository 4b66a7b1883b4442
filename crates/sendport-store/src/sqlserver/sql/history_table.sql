-- The schema, and the history of its migrations.
IF SCHEMA_ID(N'sendport') IS NULL EXEC (N'CREATE SCHEMA sendport AUTHORIZATION dbo');
IF OBJECT_ID(N'sendport.SchemaVersion') IS NULL
    CREATE TABLE sendport.SchemaVersion (
        [Version] int NOT NULL,
        Name      nvarchar(128) NOT NULL,
        Checksum  nvarchar(64) NOT NULL,
        AppliedAt datetime2(3) NOT NULL CONSTRAINT DF_SchemaVersion_AppliedAt DEFAULT SYSUTCDATETIME(),
        AppliedBy nvarchar(128) NOT NULL CONSTRAINT DF_SchemaVersion_AppliedBy DEFAULT SUSER_SNAME(),
        CONSTRAINT PK_SchemaVersion PRIMARY KEY (Version)
    );
