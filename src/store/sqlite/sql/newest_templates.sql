-- templates, add_templates: the version of the last change.
SELECT coalesce(max(Version), 0) FROM TemplateChange
