-- SqlServerStore::record
-- Parameters: @instance, @outcomes, @recipients, @replies. Whose token still stands is recorded
-- whole; of the others only the facts, and those of an attempt that stands already not again.
-- Answers one row an outcome: AlertId, 2 whole, 1 facts only, 0 gone.
SET NOCOUNT ON;
DECLARE @now datetime2(3) = SYSUTCDATETIME();
-- Stands for ' in the texts of the tables: see record.rs.
DECLARE @quote nchar(1) = NCHAR(57383);
DECLARE @held TABLE (AlertId bigint NOT NULL PRIMARY KEY);
DECLARE @facts TABLE (AlertId bigint NOT NULL PRIMARY KEY);
-- Held only because nobody had seen the end of the attempt that is recorded now.
DECLARE @ended TABLE (AlertId bigint NOT NULL PRIMARY KEY);
DECLARE @follows TABLE (AlertId bigint NOT NULL PRIMARY KEY, Status nvarchar(16) COLLATE Latin1_General_BIN2 NOT NULL);

BEGIN TRANSACTION;
-- Locks the alerts until the end, and tells which leases still stand.
UPDATE a SET StatusAt = @now
OUTPUT inserted.AlertId INTO @held
FROM sendport.AlertRow a JOIN @outcomes o ON o.AlertId = a.AlertId
WHERE a.LeaseToken = o.LeaseToken;

INSERT @facts
SELECT a.AlertId
FROM @outcomes o JOIN sendport.AlertRow a ON a.AlertId = o.AlertId
WHERE o.AttemptKey IS NOT NULL
  AND NOT EXISTS (SELECT 1 FROM @held h WHERE h.AlertId = o.AlertId)
  AND NOT EXISTS (SELECT 1 FROM sendport.Attempt t WHERE t.AttemptKey = o.AttemptKey);
-- An attempt that was made counts, whoever holds the alert now.
UPDATE a SET AttemptCount = CASE WHEN o.AttemptNumber > a.AttemptCount THEN o.AttemptNumber ELSE a.AttemptCount END
FROM sendport.AlertRow a JOIN @outcomes o ON o.AlertId = a.AlertId JOIN @facts f ON f.AlertId = a.AlertId;
IF EXISTS (SELECT 1 FROM @facts)
    INSERT @ended
    SELECT d.AlertId
    FROM @facts f
    JOIN @outcomes o ON o.AlertId = f.AlertId
    JOIN sendport.InDoubt d ON d.AlertId = f.AlertId AND d.AttemptNumber = o.AttemptNumber
    WHERE o.Outcome <> N'unknown' AND d.Status = N'held' AND d.StatusReason LIKE N'in doubt:%';

INSERT INTO sendport.Attempt (AttemptKey, AlertId, AttemptNumber, Outcome, InstanceId, Relay, StartedAt, EndedAt,
    MessageId, SizeOctets, Protection, RemoteAddress, ServerName, TlsVersion, TlsCipher, PeerFingerprint, AuthMechanism,
    SignedBy, SignatureAlgorithm, EncryptedTo, EncryptionAlgorithm, HeaderProtection)
SELECT o.AttemptKey, o.AlertId, o.AttemptNumber, o.Outcome, @instance, REPLACE(o.Relay COLLATE Latin1_General_BIN2, @quote, N''''),
    o.StartedAt, o.EndedAt, REPLACE(o.MessageId COLLATE Latin1_General_BIN2, @quote, N''''), o.SizeOctets, o.Protection,
    REPLACE(o.RemoteAddress COLLATE Latin1_General_BIN2, @quote, N''''), REPLACE(o.ServerName COLLATE Latin1_General_BIN2, @quote, N''''),
    o.TlsVersion, o.TlsCipher, o.PeerFingerprint, o.AuthMechanism,
    o.SignedBy, o.SignatureAlgorithm, o.EncryptedTo, o.EncryptionAlgorithm, o.HeaderProtection
FROM @outcomes o
WHERE o.AttemptKey IS NOT NULL
  AND (EXISTS (SELECT 1 FROM @held h WHERE h.AlertId = o.AlertId)
       OR EXISTS (SELECT 1 FROM @facts f WHERE f.AlertId = o.AlertId))
  AND NOT EXISTS (SELECT 1 FROM sendport.Attempt t WHERE t.AttemptKey = o.AttemptKey);

INSERT INTO sendport.AttemptReply (AttemptId, Ordinal, Command, RecipientOrdinal, ReplyCode, EnhancedStatusCode, ReplyText)
SELECT t.AttemptId, p.Ordinal, p.Command, p.RecipientOrdinal, p.ReplyCode, p.EnhancedStatusCode,
    REPLACE(p.ReplyText COLLATE Latin1_General_BIN2, @quote, N'''')
FROM @replies p JOIN sendport.Attempt t ON t.AttemptKey = p.AttemptKey
WHERE NOT EXISTS (SELECT 1 FROM sendport.AttemptReply x WHERE x.AttemptId = t.AttemptId AND x.Ordinal = p.Ordinal);

-- relayed is never overwritten.
UPDATE r
SET Status = n.Status, StatusAt = @now, AttemptCount = n.AttemptCount, Relay = REPLACE(n.Relay COLLATE Latin1_General_BIN2, @quote, N''''),
    Command = n.Command,
    ReplyCode = n.ReplyCode, EnhancedStatusCode = n.EnhancedStatusCode, ReplyText = REPLACE(n.ReplyText COLLATE Latin1_General_BIN2, @quote, N''''),
    ExplanationKey = n.ExplanationKey, Remark = REPLACE(n.Remark COLLATE Latin1_General_BIN2, @quote, N'''')
FROM sendport.Recipient r JOIN @recipients n ON n.AlertId = r.AlertId AND n.Ordinal = r.Ordinal
WHERE r.Status <> N'relayed'
  AND (EXISTS (SELECT 1 FROM @held h WHERE h.AlertId = n.AlertId)
       OR (n.Status = N'relayed' AND EXISTS (SELECT 1 FROM @facts f WHERE f.AlertId = n.AlertId)));

-- The list of rows is whole or absent, because whoever loads it takes it for the whole: without
-- the lease, who was not relayed is queued, unless the row itself says that it can never be sent
-- (failed without an attempt), or the alert is final.
INSERT INTO sendport.Recipient (AlertId, Ordinal, Kind, Address, DisplayName, Status, StatusAt, AttemptCount, Relay,
    Command, ReplyCode, EnhancedStatusCode, ReplyText, ExplanationKey, Remark)
SELECT n.AlertId, n.Ordinal, n.Kind, REPLACE(n.Address COLLATE Latin1_General_BIN2, @quote, N''''),
    REPLACE(n.DisplayName COLLATE Latin1_General_BIN2, @quote, N''''),
    CASE WHEN h.AlertId IS NOT NULL OR n.Status = N'relayed' OR (n.Status = N'failed' AND n.AttemptCount = 0) THEN n.Status
         WHEN a.Status IN (N'queued', N'sending', N'delayed', N'held') THEN N'queued'
         WHEN n.Status IN (N'queued', N'delayed') THEN N'failed'
         ELSE n.Status END,
    @now, n.AttemptCount, REPLACE(n.Relay COLLATE Latin1_General_BIN2, @quote, N''''), n.Command, n.ReplyCode,
    n.EnhancedStatusCode, REPLACE(n.ReplyText COLLATE Latin1_General_BIN2, @quote, N''''), n.ExplanationKey,
    REPLACE(n.Remark COLLATE Latin1_General_BIN2, @quote, N'''')
FROM @recipients n
JOIN sendport.AlertRow a ON a.AlertId = n.AlertId
LEFT JOIN @held h ON h.AlertId = n.AlertId
LEFT JOIN @facts f ON f.AlertId = n.AlertId
WHERE (h.AlertId IS NOT NULL OR f.AlertId IS NOT NULL)
  AND NOT EXISTS (SELECT 1 FROM sendport.Recipient r WHERE r.AlertId = n.AlertId AND r.Ordinal = n.Ordinal);

-- Where facts came without the lease, or somebody's fact stands against this decision, the
-- alert's status is made from its rows.
INSERT @follows
SELECT r.AlertId,
       CASE
           WHEN SUM(CASE WHEN r.Status = N'delayed' THEN 1 ELSE 0 END) > 0 THEN N'delayed'
           WHEN SUM(CASE WHEN r.Status = N'queued' THEN 1 ELSE 0 END) > 0 THEN N'queued'
           WHEN SUM(CASE WHEN r.Status = N'relayed' THEN 0 ELSE 1 END) = 0 THEN N'relayed'
           WHEN SUM(CASE WHEN r.Status = N'relayed' THEN 1 ELSE 0 END) > 0 THEN N'partial'
           WHEN SUM(CASE WHEN r.Status = N'expired' THEN 0 ELSE 1 END) = 0 THEN N'expired'
           WHEN SUM(CASE WHEN r.Status = N'cancelled' THEN 0 ELSE 1 END) = 0 THEN N'cancelled'
           WHEN SUM(CASE WHEN r.Status = N'suppressed' THEN 0 ELSE 1 END) = 0 THEN N'suppressed'
           ELSE N'failed' END
FROM sendport.Recipient r
WHERE EXISTS (SELECT 1 FROM @facts f WHERE f.AlertId = r.AlertId)
   OR r.AlertId IN (SELECT n.AlertId FROM @recipients n
                    JOIN sendport.Recipient x ON x.AlertId = n.AlertId AND x.Ordinal = n.Ordinal
                    WHERE n.Status <> N'relayed' AND x.Status = N'relayed')
GROUP BY r.AlertId;
-- What was to be held stays so for whoever still waits.
UPDATE w SET Status = N'held'
FROM @follows w JOIN @outcomes o ON o.AlertId = w.AlertId JOIN @held h ON h.AlertId = w.AlertId
WHERE o.Status = N'held' AND w.Status IN (N'queued', N'delayed');

UPDATE a
SET Status = COALESCE(w.Status, o.Status, CASE WHEN EXISTS (SELECT 1 FROM sendport.Recipient r
                                                            WHERE r.AlertId = a.AlertId AND r.Status = N'delayed')
                                               THEN N'delayed' ELSE N'queued' END),
    StatusAt = @now,
    StatusReason = REPLACE(o.StatusReason COLLATE Latin1_General_BIN2, @quote, N''''),
    DueAt = CASE WHEN COALESCE(w.Status, o.Status, N'queued') IN (N'queued', N'delayed')
                 THEN DATEADD(second, CAST(COALESCE(o.RetryInMs, 0) / 1000 AS int),
                              DATEADD(millisecond, CAST(COALESCE(o.RetryInMs, 0) % 1000 AS int), @now)) END,
    FinalAt = CASE WHEN COALESCE(w.Status, o.Status, N'queued') IN (N'queued', N'delayed', N'held') THEN NULL ELSE @now END,
    AttemptCount = CASE WHEN o.AttemptNumber > a.AttemptCount THEN o.AttemptNumber ELSE a.AttemptCount END,
    TemplateVersion = COALESCE(a.TemplateVersion, REPLACE(o.TemplateVersion COLLATE Latin1_General_BIN2, @quote, N'''')),
    LeaseToken = NULL, LeaseOwner = NULL, LeasedAt = NULL
FROM sendport.AlertRow a
JOIN @outcomes o ON o.AlertId = a.AlertId
JOIN @held h ON h.AlertId = a.AlertId
LEFT JOIN @follows w ON w.AlertId = a.AlertId;

-- Whoever holds the alert now is not disturbed; a decision of an operator stands as long as
-- somebody still waits.
UPDATE a
SET Status = w.Status,
    StatusAt = CASE WHEN a.Status = w.Status THEN a.StatusAt ELSE @now END,
    StatusReason = CASE WHEN e.AlertId IS NULL THEN a.StatusReason END,
    DueAt = CASE WHEN w.Status NOT IN (N'queued', N'delayed') THEN NULL
                 WHEN e.AlertId IS NULL THEN a.DueAt ELSE @now END,
    FinalAt = CASE WHEN w.Status IN (N'queued', N'delayed') THEN NULL ELSE COALESCE(a.FinalAt, @now) END
FROM sendport.AlertRow a
JOIN @follows w ON w.AlertId = a.AlertId
JOIN @facts f ON f.AlertId = a.AlertId
LEFT JOIN @ended e ON e.AlertId = a.AlertId
WHERE a.Status IN (N'queued', N'delayed') OR (a.Status = N'held' AND e.AlertId IS NOT NULL)
   OR (a.Status <> N'sending' AND w.Status NOT IN (N'queued', N'delayed'));
COMMIT TRANSACTION;

SELECT o.AlertId, CASE WHEN h.AlertId IS NOT NULL THEN 2 WHEN a.AlertId IS NOT NULL THEN 1 ELSE 0 END
FROM @outcomes o
LEFT JOIN @held h ON h.AlertId = o.AlertId
LEFT JOIN sendport.AlertRow a ON a.AlertId = o.AlertId;
