-- SqlServerStore::templates
-- The version first: what is added in between makes a change that builds on it try again.
SELECT COALESCE(MAX(Version), 0) FROM sendport.TemplateChange;
SELECT Name, Language, Version, CreatedAt, CreatedBy, Subject, Text, Html, Sample
FROM sendport.CurrentTemplate ORDER BY Name, Language;
