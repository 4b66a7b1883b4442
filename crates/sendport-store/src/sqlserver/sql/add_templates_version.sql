-- SqlServerStore::add_templates
-- @P1 the version that should be the newest. Answers whether the next one was taken; of two that
-- take it at once, the key refuses the second.
DECLARE @newest int = (SELECT MAX(c.Version) FROM sendport.TemplateChange c);
IF COALESCE(@newest, 0) = @P1
BEGIN
    INSERT INTO sendport.TemplateChange (Version) VALUES (@P1 + 1);
    SELECT CAST(1 AS int);
END
ELSE
    SELECT CAST(0 AS int);
