-- The schema of sendport for SQL Server, printed by `sendport migrate --print`.
-- Run it as db_owner in the database of the alerts, with any client that splits batches at GO, such as
--   sqlcmd -S server -d database -b -i sendport.sql
-- It is one transaction. The IF behind each batch rolls back after an error and skips what follows; Babelfish
-- ignores NOEXEC, and there PARSEONLY does the same.
SET ANSI_NULLS, ANSI_PADDING, ANSI_WARNINGS, ARITHABORT, CONCAT_NULL_YIELDS_NULL, QUOTED_IDENTIFIER ON;
SET NUMERIC_ROUNDABORT OFF;
SET XACT_ABORT, NOCOUNT ON;
GO
BEGIN TRANSACTION;
GO
