-- Templates in the database, in versions that never change.

-- One row for each import that changed something. Versions count through all templates, so that
-- one number says how all of them stood at a moment.
CREATE TABLE TemplateChange (
    Version   INTEGER PRIMARY KEY,
    CreatedAt TEXT NOT NULL,
    CreatedBy TEXT NOT NULL DEFAULT 'sqlite',
    CONSTRAINT CK_TemplateChange_Version CHECK (Version >= 1)
) STRICT;

-- One template in one language, as it is from a version on. Language '' is the default; a Name that
-- begins with '_' is there for others to extend, include or import; Sample is a payload to try it with.
-- A row with nothing in it says that there is none from its version on.
CREATE TABLE Template (
    Name     TEXT COLLATE RTRIM NOT NULL,
    Language TEXT COLLATE RTRIM NOT NULL,
    Version  INTEGER NOT NULL REFERENCES TemplateChange (Version),
    Subject  TEXT,
    Text     TEXT,
    Html     TEXT,
    Sample   TEXT,
    PRIMARY KEY (Name, Language, Version),
    CONSTRAINT CK_Template_Length CHECK (length(Name) BETWEEN 1 AND 128 AND length(Language) <= 35)
) STRICT;

CREATE TRIGGER TR_Template_Update BEFORE UPDATE ON Template
BEGIN
    SELECT RAISE(ABORT, 'a version of a template never changes; import the template again, as a new version');
END;

CREATE TRIGGER TR_TemplateChange_Update BEFORE UPDATE ON TemplateChange
BEGIN
    SELECT RAISE(ABORT, 'a version of a template never changes; import the template again, as a new version');
END;

-- The templates as they stand now.
CREATE VIEW CurrentTemplate AS
SELECT t.Name, t.Language, t.Version, c.CreatedAt, c.CreatedBy, t.Subject, t.Text, t.Html, t.Sample
FROM Template t
JOIN TemplateChange c ON c.Version = t.Version
WHERE t.Version = (SELECT max(n.Version) FROM Template n WHERE n.Name = t.Name AND n.Language = t.Language)
  AND coalesce(t.Subject, t.Text, t.Html, t.Sample) IS NOT NULL;
