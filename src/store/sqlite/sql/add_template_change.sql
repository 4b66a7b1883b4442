-- add_templates: the next version.
INSERT INTO TemplateChange (Version, CreatedAt) VALUES (?1, ?2)
