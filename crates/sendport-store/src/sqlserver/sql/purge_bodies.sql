-- SqlServerStore::purge_bodies
-- @P1 status, @P2 send port, @P3 seconds since FinalAt, @P4 most alerts, @P5 most attachments, @P6 bytes: the alert
-- with which there are so many is the last. @P7 the request that counts them. {index} is the index to seek in; {created}
-- and {among} become conditions about CreatedAt and AlertId, or nothing.
-- Answers how many alerts, rows and bytes were purged, and 1 where more may be left.
SET LOCK_TIMEOUT 250;
DECLARE @now datetime2(3) = SYSUTCDATETIME();
DECLARE @before datetime2(3) = DATEADD(second, -@P3, @now);
DECLARE @alerts bigint = 0, @bodies bigint = 0, @rows bigint = 0, @bytes bigint = 0;
DECLARE @found int, @kept int, @files int, @request bigint = @P7;
DECLARE @ids TABLE (AlertId bigint NOT NULL PRIMARY KEY);
DECLARE @candidates TABLE (AlertId bigint NOT NULL PRIMARY KEY, CreatedAt datetime2(3) NOT NULL);
DECLARE @sizes TABLE (AlertId bigint NOT NULL PRIMARY KEY, Bytes bigint NOT NULL, BytesBefore bigint NOT NULL);
DECLARE @attachments TABLE (AlertId bigint NOT NULL, AttachmentId bigint NOT NULL, PRIMARY KEY (AlertId, AttachmentId));
BEGIN TRANSACTION;
{lock_retention}
-- The oldest come first, and CreatedAt bounds the seek: an alert that is final before it was inserted, by clocks that
-- differ, is as old as its CreatedAt, unless it is named.
-- XLOCK, and the row itself by a column that is not in the index (LeaseToken, NULL in all that is final): what others
-- read in a serializable transaction is left for the next round.
INSERT @candidates
SELECT TOP (@P4) a.AlertId, a.CreatedAt
FROM sendport.AlertRow a WITH (READPAST, XLOCK, ROWLOCK, READCOMMITTEDLOCK, INDEX ({index}), FORCESEEK)
WHERE a.Status = @P1 AND a.SendPort = @P2 AND a.BodyPurged = 0 AND a.FinalAt <= @before AND a.LeaseToken IS NULL
  {created}
  {among}
ORDER BY a.CreatedAt, a.AlertId;
SET @found = @@ROWCOUNT;
INSERT @sizes
SELECT s.AlertId, s.Bytes, SUM(s.Bytes + s.FileBytes) OVER (ORDER BY s.CreatedAt, s.AlertId ROWS UNBOUNDED PRECEDING)
                           - s.Bytes - s.FileBytes
FROM (SELECT c.AlertId, c.CreatedAt,
             CAST(COALESCE(DATALENGTH(a.Body), 0) AS bigint) + COALESCE(DATALENGTH(a.Payload), 0)
                 + COALESCE(DATALENGTH(a.Headers), 0)
                 + COALESCE((SELECT m.SizeBytes FROM sendport.ReceivedMessage m WITH (INDEX (PK_ReceivedMessage), FORCESEEK)
                             WHERE m.AlertId = c.AlertId), 0) AS Bytes,
             COALESCE((SELECT SUM(CAST(DATALENGTH(t.Content) AS bigint))
                       FROM sendport.AttachmentRow t WITH (INDEX (PK_AttachmentRow), FORCESEEK)
                       WHERE t.AlertId = c.AlertId), 0) AS FileBytes
      FROM @candidates c
      JOIN sendport.AlertRow a WITH (INDEX (PK_AlertRow), FORCESEEK) ON a.AlertId = c.AlertId) s;
DELETE FROM @sizes WHERE BytesBefore >= @P6;
SET @kept = (SELECT COUNT(*) FROM @sizes);

INSERT @attachments
SELECT TOP (@P5) t.AlertId, t.AttachmentId
FROM @sizes s
JOIN sendport.AttachmentRow t WITH (INDEX (PK_AttachmentRow), FORCESEEK) ON t.AlertId = s.AlertId;
SET @files = @@ROWCOUNT;
SET @bytes = COALESCE((SELECT SUM(s.Bytes) FROM @sizes s), 0)
           + COALESCE((SELECT SUM(CAST(DATALENGTH(t.Content) AS bigint))
                       FROM @attachments x
                       JOIN sendport.AttachmentRow t WITH (INDEX (PK_AttachmentRow), FORCESEEK)
                         ON t.AlertId = x.AlertId AND t.AttachmentId = x.AttachmentId), 0);
DELETE t
FROM @attachments x
JOIN sendport.AttachmentRow t WITH (ROWLOCK, INDEX (PK_AttachmentRow), FORCESEEK)
  ON t.AlertId = x.AlertId AND t.AttachmentId = x.AttachmentId;
DELETE c
FROM @sizes s
JOIN sendport.ReceivedContent c WITH (ROWLOCK, INDEX (PK_ReceivedContent), FORCESEEK) ON c.AlertId = s.AlertId;
INSERT @ids SELECT s.AlertId FROM @sizes s WHERE @request > 0;
{keep_earlier_requests}
-- From here on the alert is not sent again, even if some of its attachments are left for the next call.
UPDATE a
SET Body = NULL, Payload = NULL, Headers = NULL, BodyPurgedAt = COALESCE(a.BodyPurgedAt, @now),
    BodyPurged = CASE WHEN @files < @P5 THEN 1 ELSE 0 END,
    RequestId = CASE WHEN @request > 0 THEN @request ELSE a.RequestId END
FROM sendport.AlertRow a WITH (ROWLOCK, INDEX (PK_AlertRow), FORCESEEK)
JOIN @sizes s ON s.AlertId = a.AlertId;
IF @files < @P5
    SET @bodies = @kept;
SET @rows = @kept + @files;
{note_purged}
UPDATE q SET AppliedCount = q.AppliedCount + @bodies
FROM sendport.OperatorRequest q WHERE q.RequestId = @P7 AND q.BodiesOnly = 1 AND @bodies > 0;
COMMIT TRANSACTION;
SELECT @bodies, @rows, @bytes, CAST(CASE WHEN @found >= @P4 OR @kept < @found OR @files >= @P5 THEN 1 ELSE 0 END AS bit);
