-- Templates in the database, in versions that never change.
SET QUOTED_IDENTIFIER ON;
SET ANSI_NULLS ON;
GO
-- One row for each import that changed something. Versions count through all templates, so that
-- one number says how all of them stood at a moment.
CREATE TABLE sendport.TemplateChange (
    Version   int NOT NULL,
    CreatedAt datetime2(3) NOT NULL CONSTRAINT DF_TemplateChange_CreatedAt DEFAULT SYSUTCDATETIME(),
    CreatedBy nvarchar(128) NOT NULL CONSTRAINT DF_TemplateChange_CreatedBy DEFAULT SUSER_SNAME(),
    CONSTRAINT PK_TemplateChange PRIMARY KEY (Version),
    CONSTRAINT CK_TemplateChange_Version CHECK (Version >= 1)
);
GO
-- One template in one language, as it is from a version on. Language '' is the default; a Name that
-- begins with '_' is there for others to extend, include or import; Sample is a payload to try it with.
-- A row with nothing in it says that there is none from its version on.
CREATE TABLE sendport.Template (
    Name     nvarchar(128) COLLATE Latin1_General_BIN2 NOT NULL,
    Language nvarchar(35) COLLATE Latin1_General_BIN2 NOT NULL,
    Version  int NOT NULL,
    Subject  nvarchar(max) NULL,
    Text     nvarchar(max) NULL,
    Html     nvarchar(max) NULL,
    Sample   nvarchar(max) NULL,
    CONSTRAINT PK_Template PRIMARY KEY (Name, Language, Version),
    CONSTRAINT FK_Template_TemplateChange FOREIGN KEY (Version) REFERENCES sendport.TemplateChange (Version)
);
GO
CREATE TRIGGER sendport.TR_Template_Update ON sendport.Template AFTER UPDATE AS
    THROW 50004, N'a version of a template never changes; import the template again, as a new version', 1;
GO
CREATE TRIGGER sendport.TR_TemplateChange_Update ON sendport.TemplateChange AFTER UPDATE AS
    THROW 50004, N'a version of a template never changes; import the template again, as a new version', 1;
GO
-- The templates as they stand now.
CREATE VIEW sendport.CurrentTemplate AS
SELECT t.Name, t.Language, t.Version, c.CreatedAt, c.CreatedBy, t.Subject, t.Text, t.Html, t.Sample
FROM sendport.Template t
JOIN sendport.TemplateChange c ON c.Version = t.Version
WHERE t.Version = (SELECT MAX(n.Version) FROM sendport.Template n WHERE n.Name = t.Name AND n.Language = t.Language)
  AND COALESCE(t.Subject, t.Text, t.Html, t.Sample) IS NOT NULL;
GO
-- Who imports templates: they may add versions, and change none.
CREATE ROLE sendport_template_author;
GO
GRANT SELECT, INSERT ON sendport.Template TO sendport_template_author;
GRANT SELECT, INSERT ON sendport.TemplateChange TO sendport_template_author;
GRANT SELECT ON sendport.CurrentTemplate TO sendport_template_author;
GO
GRANT SELECT ON sendport.Template TO sendport_reader;
GRANT SELECT ON sendport.TemplateChange TO sendport_reader;
GRANT SELECT ON sendport.CurrentTemplate TO sendport_reader;
GO
GRANT SELECT ON sendport.Template TO sendport_service;
GRANT SELECT ON sendport.TemplateChange TO sendport_service;
GRANT SELECT ON sendport.CurrentTemplate TO sendport_service;
GO
IF OBJECT_ID(N'sendport.SchemaVersion') IS NOT NULL
    GRANT SELECT ON sendport.SchemaVersion TO sendport_template_author;
GO
-- Babelfish looks a foreign key up as whoever inserts, and with a lock that needs this; the trigger
-- refuses updates all the same.
IF SERVERPROPERTY(N'Babelfish') IS NOT NULL
    EXEC (N'GRANT UPDATE ON sendport.TemplateChange TO sendport_template_author');
GO
