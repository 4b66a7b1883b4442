-- What instances share: their shares of a relay's limits, sign-ins, audit copies, and who was told
-- of failures; and views that say more of relays and of what waits.
SET QUOTED_IDENTIFIER ON;
SET ANSI_NULLS ON;
GO
-- Among how many instances this one shares the limits of each relay.
ALTER TABLE sendport.Instance ADD ShareCount int NOT NULL CONSTRAINT DF_Instance_SharesOf DEFAULT 1;
GO
ALTER TABLE sendport.Instance ADD CONSTRAINT CK_Instance_SharesOf CHECK (ShareCount >= 0);
GO
-- What this instance may do with a relay now; NULL: no limit. ThrottledBy: why it is less than its
-- share of what is configured.
ALTER TABLE sendport.RelayState ADD Connections int NULL;
ALTER TABLE sendport.RelayState ADD MessageRate nvarchar(64) NULL;
ALTER TABLE sendport.RelayState ADD ThrottledBy nvarchar(max) NULL;
-- Most recipients of one transaction.
ALTER TABLE sendport.RelayState ADD MaxRecipients int NULL;
GO
-- 'digest': made by the service to tell somebody of failures. The view Alert does not have it, so
-- that applications cannot write it.
ALTER TABLE sendport.AlertRow ADD Origin nvarchar(16) COLLATE Latin1_General_BIN2 NOT NULL
    CONSTRAINT DF_AlertState_Origin DEFAULT N'application';
GO
ALTER TABLE sendport.AlertRow ADD CONSTRAINT CK_AlertState_Origin CHECK (Origin IN (N'application', N'digest'));
GO
-- With what the digest and the view Queue ask of what failed and of what is held.
DROP INDEX IX_AlertState_Live ON sendport.AlertRow;
GO
CREATE INDEX IX_AlertState_Live ON sendport.AlertRow (Status, SendPort, CreatedAt)
    INCLUDE (DueAt, CreatedBy, FinalAt, AttemptCount);
GO
-- What else somebody should know of a recipient, beside what the relay said.
ALTER TABLE sendport.Recipient ADD Remark nvarchar(400) NULL;
GO
-- A type cannot be altered.
DROP TYPE sendport.RecipientList;
GO
CREATE TYPE sendport.RecipientList AS TABLE (
    AlertId            bigint NOT NULL,
    Ordinal            int NOT NULL,
    Kind               nvarchar(8) COLLATE Latin1_General_BIN2 NOT NULL,
    Address            nvarchar(320) NOT NULL,
    DisplayName        nvarchar(max) NULL,
    Status             nvarchar(16) COLLATE Latin1_General_BIN2 NOT NULL,
    AttemptCount       int NOT NULL,
    Relay              nvarchar(128) NULL,
    Command            nvarchar(32) NULL,
    ReplyCode          int NULL,
    EnhancedStatusCode nvarchar(16) NULL,
    ReplyText          nvarchar(max) NULL,
    ExplanationKey     nvarchar(64) COLLATE Latin1_General_BIN2 NULL,
    Remark             nvarchar(400) NULL,
    PRIMARY KEY (AlertId, Ordinal)
);
GO
-- Whether a password may be tried: one that was refused rests, and an unknown one is tried by one
-- instance alone. Secret is a short hash that tells one password from another, not a password.
CREATE TABLE sendport.RelayAuthentication (
    Relay              nvarchar(128) COLLATE Latin1_General_BIN2 NOT NULL,
    Secret             nvarchar(64) COLLATE Latin1_General_BIN2 NOT NULL,
    State              nvarchar(16) COLLATE Latin1_General_BIN2 NOT NULL,
    StateAt            datetime2(3) NOT NULL,
    InstanceId         uniqueidentifier NULL,
    -- The last refusal: stands until the secret is accepted.
    RefusedAt          datetime2(3) NULL,
    ReplyCode          int NULL,
    EnhancedStatusCode nvarchar(16) NULL,
    ReplyText          nvarchar(max) NULL,
    -- Sign-ins in a row that the relay did not answer.
    Unanswered         int NOT NULL CONSTRAINT DF_RelayAuthentication_Unanswered DEFAULT 0,
    CONSTRAINT PK_RelayAuthentication PRIMARY KEY (Relay, Secret),
    CONSTRAINT CK_RelayAuthentication_State CHECK (State IN (N'trying', N'accepted', N'refused', N'unanswered'))
);
GO
-- What was submitted, octet by octet, where the configuration asks for it. Tied to no alert: a
-- copy outlives it, and only who keeps the archive deletes from it.
CREATE TABLE sendport.AuditCopy (
    AttemptKey   uniqueidentifier NOT NULL,
    Stage        nvarchar(8) COLLATE Latin1_General_BIN2 NOT NULL,
    AlertId      bigint NOT NULL,
    SendPort     nvarchar(64) COLLATE Latin1_General_BIN2 NOT NULL,
    Relay        nvarchar(128) NOT NULL,
    KeptAt       datetime2(3) NOT NULL,
    MessageId    nvarchar(1000) NOT NULL,
    ReversePath  nvarchar(1000) NOT NULL,
    -- One a line.
    ForwardPaths nvarchar(max) NOT NULL,
    SizeOctets   bigint NOT NULL,
    Content      varbinary(max) NOT NULL,
    CONSTRAINT PK_AuditCopy PRIMARY KEY NONCLUSTERED (AttemptKey, Stage),
    CONSTRAINT CK_AuditCopy_Stage CHECK (Stage IN (N'before', N'after'))
);
GO
-- The rows stand in the order of the alerts, so that each new one is appended.
CREATE CLUSTERED INDEX IX_AuditCopy_AlertId ON sendport.AuditCopy (AlertId);
GO
-- Failures that stand in a digest, and in which.
CREATE TABLE sendport.FailureNotification (
    AlertId       bigint NOT NULL,
    DigestAlertId bigint NOT NULL,
    NotifiedAt        datetime2(3) NOT NULL,
    CONSTRAINT PK_FailureNotification PRIMARY KEY (AlertId),
    CONSTRAINT FK_FailureNotification_Alert FOREIGN KEY (AlertId) REFERENCES sendport.AlertRow (AlertId) ON DELETE CASCADE
);
GO
DROP VIEW sendport.Delivery;
GO
-- One line a recipient: status, what the relay said, why, and what to do.
CREATE VIEW sendport.Delivery AS
SELECT r.AlertId, a.PublicId, a.Reference, a.SendPort, r.Ordinal, r.Kind, r.Address, r.DisplayName,
       r.Status, r.StatusAt, r.AttemptCount,
       CASE WHEN r.Status IN (N'queued', N'delayed') THEN a.DueAt END AS NextAttemptAt,
       r.Relay, r.Command, r.ReplyCode, r.EnhancedStatusCode, r.ReplyText,
       e.Fault, e.Cause, e.Advice, r.Remark, a.Subject, a.CreatedAt, a.CreatedBy
FROM sendport.Recipient r
JOIN sendport.AlertRow a ON a.AlertId = r.AlertId
LEFT JOIN sendport.ReplyExplanation e ON e.ExplanationKey = r.ExplanationKey;
GO
DROP VIEW sendport.AlertStatus;
GO
-- One line an alert.
CREATE VIEW sendport.AlertStatus AS
SELECT a.AlertId, a.PublicId, a.Reference, a.Source, a.AlertName, a.Severity, a.Subject, a.SendPort, a.Priority,
       a.Status, a.StatusAt, CASE WHEN a.Status <> N'sending' THEN a.StatusReason END AS StatusReason,
       a.AttemptCount, a.DueAt AS NextAttemptAt,
       (SELECT COUNT(*) FROM sendport.Recipient r WHERE r.AlertId = a.AlertId) AS RecipientCount,
       (SELECT COUNT(*) FROM sendport.Recipient r WHERE r.AlertId = a.AlertId AND r.Status = N'relayed') AS RelayedCount,
       (SELECT COUNT(*) FROM sendport.Recipient r WHERE r.AlertId = a.AlertId AND r.Status IN (N'queued', N'delayed')) AS WaitingCount,
       (SELECT COUNT(*) FROM sendport.Recipient r WHERE r.AlertId = a.AlertId AND r.Status IN (N'failed', N'expired')) AS FailedCount,
       a.FinalAt, a.CreatedAt, a.CreatedBy, a.Origin
FROM sendport.AlertRow a;
GO
DROP VIEW sendport.Queue;
GO
-- Depth and oldest age by send port and status of what is not final, and why nothing moves. Dirty reads, in
-- this view and in Relay: it waits for no transaction, and whoever reads it in a serializable one locks
-- nothing that the service writes. So the depth is approximate: what is not committed may be counted.
CREATE VIEW sendport.Queue AS
SELECT q.SendPort, q.Status, q.Depth, q.OldestAt,
       DATEDIFF(second, q.OldestAt, SYSUTCDATETIME()) AS OldestAgeSeconds,
       q.NextDueAt,
       CASE
           WHEN q.Status = N'sending'
               THEN COALESCE((SELECT TOP (1) CASE WHEN i.StoppedAt IS NOT NULL OR i.LeaseUntil <= SYSUTCDATETIME()
                                         THEN N'leased to instance ' + i.Name COLLATE Latin1_General_BIN2 +
                                              N', whose lease ended at ' + CONVERT(nvarchar(30), i.LeaseUntil, 126) +
                                              N'Z: a running instance takes them over'
                                         WHEN i.WaitingFor IS NOT NULL
                                         THEN N'instance ' + i.Name COLLATE Latin1_General_BIN2 + N': ' +
                                              i.WaitingFor COLLATE Latin1_General_BIN2
                                         ELSE CONVERT(nvarchar(10), i.UnrecordedCount) +
                                              N' outcomes not recorded by instance ' + i.Name COLLATE Latin1_General_BIN2 +
                                              N' since ' + CONVERT(nvarchar(30), i.UnrecordedSince, 126) +
                                              N'Z: see EventLog' END
                     FROM sendport.Instance i WITH (READUNCOMMITTED)
                     WHERE (i.UnrecordedCount > 0 OR i.StoppedAt IS NOT NULL OR i.LeaseUntil <= SYSUTCDATETIME())
                       AND EXISTS (SELECT 1 FROM sendport.AlertRow s WITH (READUNCOMMITTED)
                                   WHERE s.LeaseOwner = i.InstanceId AND s.SendPort = q.SendPort)
                     ORDER BY i.LeaseUntil),
                    (SELECT TOP (1) N'relay ' + rs.Relay COLLATE Latin1_General_BIN2 + N': ' + rs.Reply COLLATE Latin1_General_BIN2
                     FROM sendport.SendPortRelay pr WITH (READUNCOMMITTED)
                     JOIN sendport.RelayState rs WITH (READUNCOMMITTED) ON rs.Relay = pr.Relay
                     JOIN sendport.Instance i WITH (READUNCOMMITTED) ON i.InstanceId = rs.InstanceId
                     WHERE pr.SendPort = q.SendPort AND rs.ExplanationKey = N'relay-silent' AND i.StoppedAt IS NULL
                       AND i.LeaseUntil > SYSUTCDATETIME()
                     ORDER BY pr.Ordinal))
           WHEN q.Status = N'held' AND q.InDoubtCount = 0 THEN N'held by an operator until released'
           WHEN q.Status = N'held' AND q.InDoubtCount = q.Depth THEN N'held in doubt: see the view InDoubt'
           WHEN q.Status = N'held'
               THEN CONVERT(nvarchar(20), q.InDoubtCount) + N' held in doubt: see the view InDoubt; ' +
                    N'the others held by an operator until released'
           WHEN NOT EXISTS (SELECT 1 FROM sendport.Instance i WITH (READUNCOMMITTED) WHERE i.StoppedAt IS NULL
                            AND i.LeaseUntil > SYSUTCDATETIME())
               THEN N'no instance of the service is running'
           WHEN NOT EXISTS (SELECT 1 FROM sendport.SendPort p WITH (READUNCOMMITTED) WHERE p.Name = q.SendPort
                            AND p.LastSeenAt > DATEADD(minute, -2, SYSUTCDATETIME()))
               -- The sweep says which name is almost so.
               THEN COALESCE((SELECT TOP (1) s.StatusReason COLLATE Latin1_General_BIN2
                              FROM sendport.AlertRow s WITH (READUNCOMMITTED)
                              WHERE s.SendPort = q.SendPort AND s.Priority IN (N'urgent', N'normal', N'low')
                                AND s.DueAt = q.NextDueAt AND s.StatusReason LIKE N'no running instance %'),
                             N'no running instance has a send port named ''' + q.SendPort COLLATE Latin1_General_BIN2 + N'''')
           WHEN NOT EXISTS (SELECT 1 FROM sendport.Instance i WITH (READUNCOMMITTED) WHERE i.WaitingFor IS NULL AND i.StoppedAt IS NULL
                            AND i.LeaseUntil > SYSUTCDATETIME())
               THEN (SELECT TOP (1) N'instance ' + i.Name COLLATE Latin1_General_BIN2 + N': ' +
                            i.WaitingFor COLLATE Latin1_General_BIN2
                     FROM sendport.Instance i WITH (READUNCOMMITTED)
                     WHERE i.WaitingFor IS NOT NULL AND i.StoppedAt IS NULL AND i.LeaseUntil > SYSUTCDATETIME()
                     ORDER BY i.StartedAt)
           WHEN NOT EXISTS (SELECT 1 FROM sendport.SendPortRelay pr WITH (READUNCOMMITTED)
                            JOIN sendport.RelayState rs WITH (READUNCOMMITTED) ON rs.Relay = pr.Relay
                            JOIN sendport.Instance i WITH (READUNCOMMITTED) ON i.InstanceId = rs.InstanceId
                            WHERE pr.SendPort = q.SendPort AND rs.Condition = N'closed' AND i.StoppedAt IS NULL
                              AND i.LeaseUntil > SYSUTCDATETIME())
               THEN (SELECT TOP (1) N'relay ' + rs.Relay + N' ' +
                            CASE rs.Condition WHEN N'paused' THEN N'paused' ELSE N'unavailable' END +
                            N' since ' + CONVERT(nvarchar(30), rs.Since, 126) + N'Z' +
                            COALESCE(N', tried again at ' + CONVERT(nvarchar(30), rs.RetryAt, 126) + N'Z', N'') +
                            COALESCE(N': ' + rs.Reply, N'')
                     FROM sendport.SendPortRelay pr WITH (READUNCOMMITTED)
                     JOIN sendport.RelayState rs WITH (READUNCOMMITTED) ON rs.Relay = pr.Relay
                     JOIN sendport.Instance i WITH (READUNCOMMITTED) ON i.InstanceId = rs.InstanceId
                     WHERE pr.SendPort = q.SendPort AND i.StoppedAt IS NULL
                     ORDER BY pr.Ordinal, rs.Since)
           WHEN q.NextDueAt > SYSUTCDATETIME()
               THEN COALESCE((SELECT TOP (1) s.StatusReason COLLATE Latin1_General_BIN2 + N', '
                              FROM sendport.AlertRow s WITH (READUNCOMMITTED)
                              WHERE s.SendPort = q.SendPort AND s.Priority IN (N'urgent', N'normal', N'low')
                                AND s.DueAt = q.NextDueAt AND s.Status = q.Status AND s.StatusReason IS NOT NULL), N'') +
                    N'due at ' + CONVERT(nvarchar(30), q.NextDueAt, 126) + N'Z'
           ELSE COALESCE((SELECT TOP (1) CONVERT(nvarchar(10), i.UnclaimedCount) + N' alerts refused by the database to instance ' +
                                 i.Name COLLATE Latin1_General_BIN2 + N' since ' +
                                 CONVERT(nvarchar(30), i.UnclaimedSince, 126) + N'Z: see EventLog'
                          FROM sendport.Instance i WITH (READUNCOMMITTED)
                          WHERE i.UnclaimedCount > 0 AND i.UnclaimedSince >= q.NextDueAt AND i.StoppedAt IS NULL
                            AND i.LeaseUntil > SYSUTCDATETIME()
                          ORDER BY i.UnclaimedSince),
               -- Due again, and given back the last time: among many that wait for each other one always is.
               CASE q.Status WHEN N'queued' THEN (SELECT TOP (1) s.StatusReason COLLATE Latin1_General_BIN2
                          FROM sendport.AlertRow s WITH (READUNCOMMITTED)
                          WHERE s.SendPort = q.SendPort AND s.Priority IN (N'urgent', N'normal', N'low')
                            AND s.DueAt = q.NextDueAt AND s.Status = q.Status AND s.StatusReason IS NOT NULL) END)
       END AS WaitingFor
FROM (SELECT g.SendPort, g.Status, g.Depth, g.OldestAt, g.NextDueAt,
             -- AttemptCount stands in the index: what no attempt was made of needs no second look.
             CASE WHEN g.Status = N'held'
                  THEN (SELECT COUNT(*) FROM sendport.AlertRow h WITH (READUNCOMMITTED)
                        WHERE h.Status = N'held' AND h.SendPort = g.SendPort AND h.AttemptCount > 0
                          AND h.StatusReason LIKE N'in doubt:%'
                          AND (h.CreatedBy = SUSER_SNAME() OR IS_MEMBER(N'sendport_reader') = 1
                               OR IS_MEMBER(N'sendport_service') = 1 OR IS_MEMBER(N'db_owner') = 1)) END AS InDoubtCount
      FROM (SELECT SendPort, Status, COUNT(*) AS Depth, MIN(CreatedAt) AS OldestAt, MIN(DueAt) AS NextDueAt
            FROM sendport.AlertRow WITH (READUNCOMMITTED)
            WHERE Status IN (N'queued', N'sending', N'delayed', N'held')
              AND (CreatedBy = SUSER_SNAME() OR IS_MEMBER(N'sendport_reader') = 1 OR IS_MEMBER(N'sendport_service') = 1
                   OR IS_MEMBER(N'db_owner') = 1)
            GROUP BY SendPort, Status) g) q;
GO
-- One line for each relay of the instances that run: the worst that one of them says of it, how
-- many say what, what they may do together, and how the last sign-in ended.
CREATE VIEW sendport.Relay AS
WITH Running AS (
    SELECT rs.InstanceId, rs.Relay, rs.Condition, rs.Since, rs.RetryAt, rs.Reply, rs.ExplanationKey,
           rs.Connections, rs.MessageRate, rs.ThrottledBy, rs.MaxRecipients,
           ROW_NUMBER() OVER (PARTITION BY rs.Relay ORDER BY
               CASE rs.Condition WHEN N'paused' THEN 1 WHEN N'open' THEN 2 WHEN N'half_open' THEN 3 ELSE 4 END,
               rs.Since, rs.InstanceId) AS Place
    FROM sendport.RelayState rs WITH (READUNCOMMITTED)
    JOIN sendport.Instance i WITH (READUNCOMMITTED) ON i.InstanceId = rs.InstanceId
    WHERE i.StoppedAt IS NULL AND i.LeaseUntil > SYSUTCDATETIME()
), Total AS (
    SELECT Relay, COUNT(*) AS Instances,
           SUM(CASE WHEN Condition = N'closed' THEN 1 ELSE 0 END) AS ClosedCount,
           SUM(CASE WHEN Condition = N'half_open' THEN 1 ELSE 0 END) AS HalfOpenCount,
           SUM(CASE WHEN Condition = N'open' THEN 1 ELSE 0 END) AS OpenCount,
           SUM(CASE WHEN Condition = N'paused' THEN 1 ELSE 0 END) AS PausedCount,
           CASE WHEN COUNT(Connections) = COUNT(*) THEN SUM(Connections) END AS Connections,
           CASE WHEN COUNT(MessageRate) = COUNT(*) THEN STRING_AGG(CONVERT(nvarchar(max), MessageRate), N' + ') END AS MessageRate,
           MAX(ThrottledBy) AS ThrottledBy,
           MIN(MaxRecipients) AS MaxRecipients
    FROM Running GROUP BY Relay
), LatestAuth AS (
    SELECT s.Relay, s.State, s.StateAt, s.RefusedAt, s.ReplyCode, s.EnhancedStatusCode, s.ReplyText,
           ROW_NUMBER() OVER (PARTITION BY s.Relay ORDER BY s.StateAt DESC, s.Secret) AS Place
    FROM sendport.RelayAuthentication s WITH (READUNCOMMITTED)
)
SELECT w.Relay, w.Condition, w.Since, w.RetryAt, w.Reply, e.Cause, e.Advice,
       t.Instances, t.ClosedCount, t.HalfOpenCount, t.OpenCount, t.PausedCount,
       t.Connections, t.MessageRate, t.ThrottledBy, t.MaxRecipients,
       s.State AS Authentication, s.StateAt AS AuthenticationAt,
       CASE s.State WHEN N'refused' THEN DATEADD(minute, 15, s.RefusedAt)
                    WHEN N'trying' THEN DATEADD(minute, 5, s.StateAt) END AS AuthenticationRetryAt,
       COALESCE(CONVERT(nvarchar(10), NULLIF(s.ReplyCode, 0)) + N' ', N'') + COALESCE(s.EnhancedStatusCode + N' ', N'') +
           s.ReplyText AS AuthenticationReply,
       (SELECT STRING_AGG(CONVERT(nvarchar(max), n.SendPort), N', ') WITHIN GROUP (ORDER BY n.SendPort)
        FROM (SELECT DISTINCT pr.SendPort
              FROM sendport.SendPortRelay pr WITH (READUNCOMMITTED)
              JOIN sendport.SendPort p WITH (READUNCOMMITTED) ON p.Name = pr.SendPort
              WHERE pr.Relay = w.Relay AND p.LastSeenAt > DATEADD(minute, -2, SYSUTCDATETIME())) n) AS SendPorts
FROM Running w
JOIN Total t ON t.Relay = w.Relay
LEFT JOIN LatestAuth s ON s.Relay = w.Relay AND s.Place = 1
LEFT JOIN sendport.ReplyExplanation e WITH (READUNCOMMITTED) ON e.ExplanationKey = w.ExplanationKey
WHERE w.Place = 1;
GO
-- Who reads audit copies: they hold whole messages, so not even the service does.
CREATE ROLE sendport_auditor;
GO
GRANT SELECT ON sendport.AuditCopy TO sendport_auditor;
GRANT INSERT ON sendport.AuditCopy TO sendport_service;
GO
-- What was granted on a view went with it.
GRANT SELECT ON sendport.AlertStatus TO sendport_reader;
GRANT SELECT ON sendport.Delivery TO sendport_reader;
GRANT SELECT ON sendport.Queue TO sendport_reader;
GRANT SELECT ON sendport.Relay TO sendport_reader;
GRANT SELECT ON sendport.RelayAuthentication TO sendport_reader;
GRANT SELECT ON sendport.FailureNotification TO sendport_reader;
GO
GRANT SELECT ON sendport.AlertStatus TO sendport_service;
GRANT SELECT ON sendport.Delivery TO sendport_service;
GRANT SELECT ON sendport.Queue TO sendport_service;
GRANT SELECT ON sendport.Relay TO sendport_service;
GRANT SELECT, INSERT, UPDATE, DELETE ON sendport.RelayAuthentication TO sendport_service;
GRANT SELECT, INSERT, UPDATE, DELETE ON sendport.FailureNotification TO sendport_service;
GO
-- Babelfish knows no permissions on types; it asks for those on the table behind one.
IF SERVERPROPERTY(N'Babelfish') IS NULL
    EXEC (N'GRANT EXECUTE ON TYPE::sendport.RecipientList TO sendport_service');
ELSE
    EXEC (N'GRANT SELECT ON sendport.RecipientList TO sendport_service');
GO
