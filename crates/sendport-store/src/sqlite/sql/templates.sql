-- templates: as they are now.
SELECT Name, Language, Version, CreatedAt, CreatedBy, Subject, Text, Html, Sample
FROM CurrentTemplate
ORDER BY Name, Language
