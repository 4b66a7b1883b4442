-- SqlServerStore::add_templates
INSERT INTO sendport.Template (Name, Language, Version, Subject, Text, Html, Sample)
VALUES (@P1, @P2, @P3, @P4, @P5, @P6, @P7);
