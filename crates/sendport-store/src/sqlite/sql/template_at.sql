-- template_at: one template and what it may include, as they were at a version.
SELECT t.Name, t.Language, t.Version, c.CreatedAt, c.CreatedBy, t.Subject, t.Text, t.Html, t.Sample
FROM Template t
JOIN TemplateChange c ON c.Version = t.Version
WHERE (t.Name = ?1 OR (t.Name >= '_' AND t.Name < '`'))
  AND t.Version = (SELECT max(n.Version) FROM Template n
                   WHERE n.Name = t.Name AND n.Language = t.Language AND n.Version <= ?2)
ORDER BY t.Name, t.Language
