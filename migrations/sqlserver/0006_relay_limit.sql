-- How many connections a relay takes of all instances together, where that was learned from its
-- refusals. 0: one that had none was refused.
SET QUOTED_IDENTIFIER ON;
SET ANSI_NULLS ON;
GO
CREATE TABLE sendport.RelayLimit (
    Relay       nvarchar(128) COLLATE Latin1_General_BIN2 NOT NULL,
    Connections int NOT NULL,
    ChangedAt   datetime2(3) NOT NULL,
    InstanceId  uniqueidentifier NOT NULL,
    SlowedBy    nvarchar(max) NOT NULL,
    CONSTRAINT PK_RelayLimit PRIMARY KEY (Relay),
    CONSTRAINT CK_RelayLimit_Connections CHECK (Connections >= 0)
);
GO
GRANT SELECT ON sendport.RelayLimit TO sendport_reader;
GRANT SELECT, INSERT, UPDATE, DELETE ON sendport.RelayLimit TO sendport_service;
GO
