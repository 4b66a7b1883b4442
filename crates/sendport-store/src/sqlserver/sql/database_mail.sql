-- database_mail: reads Database Mail's profiles, accounts, principals and parameters, and its newest @P1 messages, from
-- msdb. Changes nothing, and reads no password. Answers with one JSON document in lines of at most 240 units, none
-- of which ends with a blank, so that a client which pads or trims lines changes nothing.
DECLARE @profiles nvarchar(max) = (
    SELECT profile_id, name, description FROM dbo.sysmail_profile FOR JSON PATH);
DECLARE @accounts nvarchar(max) = (
    SELECT a.account_id, a.name, a.email_address, a.display_name, a.replyto_address, s.servertype, s.servername, s.port,
           s.username, CAST(s.use_default_credentials AS int) AS use_default_credentials,
           CAST(s.enable_ssl AS int) AS enable_ssl
    FROM dbo.sysmail_account AS a
    LEFT JOIN dbo.sysmail_server AS s ON s.account_id = a.account_id
    FOR JSON PATH);
DECLARE @profile_accounts nvarchar(max) = (
    SELECT profile_id, account_id, sequence_number FROM dbo.sysmail_profileaccount FOR JSON PATH);
-- The sid of the public principal is one zero byte.
DECLARE @principals nvarchar(max) = (
    SELECT p.profile_id, CAST(p.is_default AS int) AS is_default,
           CASE WHEN p.principal_sid = 0x00 THEN 1 ELSE 0 END AS is_public,
           COALESCE(s.name COLLATE DATABASE_DEFAULT, d.name COLLATE DATABASE_DEFAULT) AS name,
           COALESCE(s.type COLLATE DATABASE_DEFAULT, d.type COLLATE DATABASE_DEFAULT) AS type
    FROM dbo.sysmail_principalprofile AS p
    LEFT JOIN sys.server_principals AS s ON s.sid = p.principal_sid AND p.principal_sid <> 0x00
    LEFT JOIN sys.database_principals AS d ON d.sid = p.principal_sid AND p.principal_sid <> 0x00
    FOR JSON PATH);
DECLARE @parameters nvarchar(max) = (
    SELECT paramname, paramvalue FROM dbo.sysmail_configuration FOR JSON PATH);
DECLARE @items nvarchar(max) = (
    SELECT TOP (@P1) i.mailitem_id, i.profile_id, i.recipients, i.copy_recipients, i.blind_copy_recipients, i.subject,
           i.body, i.body_format, i.importance, i.sensitivity, i.file_attachments, i.sent_account_id, i.sent_status,
           m.from_address, m.reply_to,
           (SELECT COUNT(*) FROM dbo.sysmail_mailattachments AS f WHERE f.mailitem_id = i.mailitem_id) AS attachments
    FROM dbo.sysmail_allitems AS i
    LEFT JOIN dbo.sysmail_mailitems AS m ON m.mailitem_id = i.mailitem_id
    ORDER BY i.mailitem_id DESC
    FOR JSON PATH);
-- As numbers, because a brace in a statement begins a placeholder of the program.
DECLARE @document nvarchar(max) = CONCAT(
    CAST(CHAR(123) AS nvarchar(max)), N'"format":"sendport-dbmail-1","server":"',
    STRING_ESCAPE(CAST(SERVERPROPERTY('ServerName') AS nvarchar(256)), 'json'),
    N'","profiles":', ISNULL(@profiles, N'[]'), N',"accounts":', ISNULL(@accounts, N'[]'),
    N',"profile_accounts":', ISNULL(@profile_accounts, N'[]'), N',"principals":', ISNULL(@principals, N'[]'),
    N',"parameters":', ISNULL(@parameters, N'[]'), N',"items":', ISNULL(@items, N'[]'), CHAR(125));
DECLARE @lines TABLE (Number int IDENTITY PRIMARY KEY, Line nvarchar(240) NOT NULL);
DECLARE @at bigint = 1, @line nvarchar(240), @length int;
DECLARE @last bigint = LEN(@document);
WHILE @at <= @last
BEGIN
    SET @line = SUBSTRING(@document, @at, 120);
    -- LEN leaves out blanks at the end; half of a surrogate pair stays with the other half.
    SET @length = LEN(@line);
    IF @length > 1 AND UNICODE(SUBSTRING(@line, @length, 1)) BETWEEN 55296 AND 56319
        SET @length = LEN(SUBSTRING(@line, 1, @length - 1));
    INSERT @lines (Line) VALUES (SUBSTRING(@line, 1, @length));
    SET @at = @at + CASE WHEN @length > 0 THEN @length ELSE 120 END;
END;
SELECT Line FROM @lines ORDER BY Number;
