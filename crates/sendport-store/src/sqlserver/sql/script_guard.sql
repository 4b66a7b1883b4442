-- migrate --print, behind each batch
IF @@ERROR <> 0 OR XACT_STATE() <> 1 BEGIN IF XACT_STATE() <> 0 ROLLBACK TRANSACTION; PRINT N'An error stopped this script: nothing was changed.'; SET NOEXEC ON; IF SERVERPROPERTY(N'Babelfish') IS NOT NULL EXEC (N'SET PARSEONLY ON'); END;
