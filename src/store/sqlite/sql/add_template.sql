-- add_templates: one template in one language.
INSERT INTO Template (Name, Language, Version, Subject, Text, Html, Sample) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
