-- SqlServerStore::template_at
-- @P1 name, @P2 version. From '_' to the next character: a name that begins with it.
SELECT t.Name, t.Language, t.Version, c.CreatedAt, c.CreatedBy, t.Subject, t.Text, t.Html, t.Sample
FROM sendport.Template t
JOIN sendport.TemplateChange c ON c.Version = t.Version
WHERE (t.Name = @P1 OR (t.Name >= N'_' AND t.Name < N'`'))
  AND t.Version = (SELECT MAX(n.Version) FROM sendport.Template n
                   WHERE n.Name = t.Name AND n.Language = t.Language AND n.Version <= @P2)
ORDER BY t.Name, t.Language;
