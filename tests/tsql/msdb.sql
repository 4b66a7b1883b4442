-- The tables of msdb that `sendport import dbmail` reads, as SQL Server 2017 and later have them: for the models of
-- check.py, and for a scratch database in tests. Of each table the columns that are read, and their keys.
CREATE TABLE dbo.sysmail_profile (
    profile_id int NOT NULL PRIMARY KEY, name sysname NOT NULL, description nvarchar(256) NULL);
GO
CREATE TABLE dbo.sysmail_account (
    account_id int NOT NULL PRIMARY KEY, name sysname NOT NULL, description nvarchar(256) NULL,
    email_address nvarchar(128) NOT NULL, display_name nvarchar(128) NULL, replyto_address nvarchar(128) NULL);
GO
CREATE TABLE dbo.sysmail_server (
    account_id int NOT NULL, servertype sysname NOT NULL, servername sysname NOT NULL, port int NOT NULL,
    username nvarchar(128) NULL, credential_id int NULL, use_default_credentials bit NOT NULL, enable_ssl bit NOT NULL,
    PRIMARY KEY (account_id, servertype));
GO
CREATE TABLE dbo.sysmail_profileaccount (
    profile_id int NOT NULL, account_id int NOT NULL, sequence_number int NULL, PRIMARY KEY (profile_id, account_id));
GO
CREATE TABLE dbo.sysmail_principalprofile (
    profile_id int NOT NULL, principal_sid varbinary(85) NOT NULL, is_default bit NOT NULL,
    PRIMARY KEY (profile_id, principal_sid));
GO
CREATE TABLE dbo.sysmail_configuration (paramname nvarchar(256) NOT NULL PRIMARY KEY, paramvalue nvarchar(256) NOT NULL);
GO
CREATE TABLE dbo.sysmail_mailitems (
    mailitem_id int NOT NULL PRIMARY KEY, profile_id int NOT NULL, recipients varchar(max) NULL,
    copy_recipients varchar(max) NULL, blind_copy_recipients varchar(max) NULL, subject nvarchar(255) NULL,
    from_address varchar(max) NULL, reply_to varchar(max) NULL, body nvarchar(max) NULL, body_format varchar(20) NULL,
    importance varchar(6) NULL, sensitivity varchar(12) NULL, file_attachments nvarchar(max) NULL,
    sent_account_id int NULL, sent_status tinyint NULL);
GO
CREATE TABLE dbo.sysmail_mailattachments (
    attachment_id int NOT NULL PRIMARY KEY, mailitem_id int NOT NULL, filename nvarchar(260) NOT NULL,
    filesize int NOT NULL, attachment varbinary(max) NULL);
GO
CREATE VIEW dbo.sysmail_allitems AS
SELECT mailitem_id, profile_id, recipients, copy_recipients, blind_copy_recipients, subject, body, body_format,
       importance, sensitivity, file_attachments, sent_account_id,
       CASE sent_status WHEN 0 THEN 'unsent' WHEN 1 THEN 'sent' WHEN 3 THEN 'retrying' ELSE 'failed' END AS sent_status
FROM dbo.sysmail_mailitems;
