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
    ThrottledBy    nvarchar(max) NOT NULL,
    CONSTRAINT PK_RelayLimit PRIMARY KEY (Relay),
    CONSTRAINT CK_RelayLimit_Connections CHECK (Connections >= 0)
);
GO
GRANT SELECT ON sendport.RelayLimit TO sendport_reader;
GRANT SELECT, INSERT, UPDATE, DELETE ON sendport.RelayLimit TO sendport_service;
GO
-- How many recipients of one transaction a relay takes, where that was learned. PauseSeconds after
-- LearnedAt it is twice as many, and after each further pause again twice as many; after eight
-- pauses the row counts no more.
CREATE TABLE sendport.RelayRecipients (
    Relay        nvarchar(128) COLLATE Latin1_General_BIN2 NOT NULL,
    Recipients   int NOT NULL,
    PauseSeconds int NOT NULL,
    LearnedAt    datetime2(3) NOT NULL,
    InstanceId   uniqueidentifier NOT NULL,
    CONSTRAINT PK_RelayRecipients PRIMARY KEY (Relay),
    CONSTRAINT CK_RelayRecipients_Recipients CHECK (Recipients > 0),
    CONSTRAINT CK_RelayRecipients_PauseSeconds CHECK (PauseSeconds > 0)
);
GO
GRANT SELECT ON sendport.RelayRecipients TO sendport_reader;
GRANT SELECT, INSERT, UPDATE, DELETE ON sendport.RelayRecipients TO sendport_service;
GO
-- The last connection of a relay that ended among the recipients of a transaction. Where another
-- one ends behind the same number of them, at any instance, so many are learned.
CREATE TABLE sendport.RelayConnectionEnd (
    Relay      nvarchar(128) COLLATE Latin1_General_BIN2 NOT NULL,
    Recipients int NOT NULL,
    EndedAt    datetime2(3) NOT NULL,
    InstanceId uniqueidentifier NOT NULL,
    CONSTRAINT PK_RelayConnectionEnd PRIMARY KEY (Relay),
    CONSTRAINT CK_RelayConnectionEnd_Recipients CHECK (Recipients > 0)
);
GO
GRANT SELECT ON sendport.RelayConnectionEnd TO sendport_reader;
GRANT SELECT, INSERT, UPDATE, DELETE ON sendport.RelayConnectionEnd TO sendport_service;
GO
-- Relays that refuse everything because a limit is reached. Of all instances the one that moves
-- RetryAt probes; WaitSeconds is the interval from that probe to RetryAt, and doubles
-- with each alert that probes for the first time: ProbedBy has them as ,4711,4712, and no more at the end.
CREATE TABLE sendport.RelayThrottle (
    Relay       nvarchar(128) COLLATE Latin1_General_BIN2 NOT NULL,
    ThrottledAt datetime2(3) NOT NULL,
    WaitSeconds int NOT NULL,
    RetryAt     datetime2(3) NOT NULL,
    Reply       nvarchar(max) NOT NULL,
    ProbedBy    nvarchar(max) NOT NULL,
    CONSTRAINT PK_RelayThrottle PRIMARY KEY (Relay),
    CONSTRAINT CK_RelayThrottle_WaitSeconds CHECK (WaitSeconds > 0)
);
GO
GRANT SELECT ON sendport.RelayThrottle TO sendport_reader;
GRANT SELECT, INSERT, UPDATE, DELETE ON sendport.RelayThrottle TO sendport_service;
GO
