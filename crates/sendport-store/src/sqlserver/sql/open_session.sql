-- Connection::open: what all statements expect of their session, instead of inheriting it.
SET TRANSACTION ISOLATION LEVEL READ COMMITTED;
SET LOCK_TIMEOUT 15000;
SET XACT_ABORT ON;
SET NOCOUNT ON;
SET QUOTED_IDENTIFIER ON;
SET ANSI_NULLS ON;
SET ANSI_PADDING ON;
SET ANSI_WARNINGS ON;
SET ARITHABORT ON;
SET CONCAT_NULL_YIELDS_NULL ON;
SET NUMERIC_ROUNDABORT OFF;
-- Answers 1 where Babelfish executes the statements: see statement.rs.
SELECT CASE WHEN SERVERPROPERTY(N'Babelfish') IS NULL THEN 0 ELSE 1 END;
-- Babelfish makes a session's temporary schema for its first table variable, and then finds the tables
-- of the foreign keys that it had looked at before no more, once.
DECLARE @first TABLE (Id int);
INSERT INTO @first VALUES (1);
