-- What instances share: their shares of a relay's limits, sign-ins, audit copies, and who was told
-- of failures; and views that say more of relays and of what waits.

-- Among how many instances this one shares the limits of each relay.
ALTER TABLE Instance ADD COLUMN ShareCount INTEGER NOT NULL DEFAULT 1
    CONSTRAINT CK_Instance_SharesOf CHECK (ShareCount >= 0);

-- What this instance may do with a relay now; NULL: no limit. ThrottledBy: why it is less than its
-- share of what is configured.
ALTER TABLE RelayState ADD COLUMN Connections INTEGER;
ALTER TABLE RelayState ADD COLUMN MessageRate TEXT;
ALTER TABLE RelayState ADD COLUMN ThrottledBy TEXT;
-- Most recipients of one transaction.
ALTER TABLE RelayState ADD COLUMN MaxRecipients INTEGER;

-- 'digest': made by the service to tell somebody of failures. Applications cannot write it.
ALTER TABLE AlertState ADD COLUMN Origin TEXT NOT NULL DEFAULT 'application'
    CONSTRAINT CK_AlertState_Origin CHECK (Origin IN ('application', 'digest'));

-- What else somebody should know of a recipient, beside what the relay said.
ALTER TABLE Recipient ADD COLUMN Remark TEXT;

-- Whether a password may be tried: one that was refused rests, and an unknown one is tried by one
-- instance alone. Secret is a short hash that tells one password from another, not a password.
CREATE TABLE RelayAuthentication (
    Relay              TEXT COLLATE RTRIM NOT NULL,
    Secret             TEXT NOT NULL,
    State              TEXT NOT NULL,
    StateAt            TEXT NOT NULL,
    InstanceId         TEXT,
    -- The last refusal: stands until the secret is accepted.
    RefusedAt          TEXT,
    ReplyCode          INTEGER,
    EnhancedStatusCode TEXT,
    ReplyText          TEXT,
    -- Sign-ins in a row that the relay did not answer.
    Unanswered         INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (Relay, Secret),
    CONSTRAINT CK_RelayAuthentication_State CHECK (State IN ('trying', 'accepted', 'refused', 'unanswered'))
) STRICT, WITHOUT ROWID;

-- What was submitted, octet by octet, where the configuration asks for it. Tied to no alert: a
-- copy outlives it, and only who keeps the archive deletes from it.
CREATE TABLE AuditCopy (
    AttemptKey   TEXT NOT NULL,
    Stage        TEXT NOT NULL,
    AlertId      INTEGER NOT NULL,
    SendPort     TEXT COLLATE RTRIM NOT NULL,
    Relay        TEXT COLLATE RTRIM NOT NULL,
    KeptAt       TEXT NOT NULL,
    MessageId    TEXT NOT NULL,
    ReversePath  TEXT NOT NULL,
    -- One a line.
    ForwardPaths TEXT NOT NULL,
    SizeOctets   INTEGER NOT NULL,
    Content      BLOB NOT NULL,
    PRIMARY KEY (AttemptKey, Stage),
    CONSTRAINT CK_AuditCopy_Stage CHECK (Stage IN ('before', 'after'))
) STRICT;

CREATE INDEX IX_AuditCopy_AlertId ON AuditCopy (AlertId);

-- Failures that stand in a digest, and in which.
CREATE TABLE FailureNotification (
    AlertId       INTEGER PRIMARY KEY REFERENCES Alert (AlertId) ON DELETE CASCADE,
    DigestAlertId INTEGER NOT NULL,
    NotifiedAt        TEXT NOT NULL
) STRICT;

-- What somebody may have to be told of.
CREATE INDEX IX_AlertState_Ended ON AlertState (SendPort, FinalAt) WHERE Status IN ('partial', 'failed', 'expired');

DROP VIEW Delivery;

-- One line a recipient: status, what the relay said, why, and what to do.
CREATE VIEW Delivery AS
SELECT r.AlertId, a.PublicId, a.Reference, a.SendPort, r.Ordinal, r.Kind, r.Address, r.DisplayName,
       r.Status, r.StatusAt, r.AttemptCount,
       CASE WHEN r.Status IN ('queued', 'delayed') THEN s.DueAt END AS NextAttemptAt,
       r.Relay, r.Command, r.ReplyCode, r.EnhancedStatusCode, r.ReplyText,
       e.Fault, e.Cause, e.Advice, r.Remark, a.Subject, a.CreatedAt, a.CreatedBy
FROM Recipient r
JOIN Alert a ON a.AlertId = r.AlertId
JOIN AlertState s ON s.AlertId = r.AlertId
LEFT JOIN ReplyExplanation e ON e.ExplanationKey = r.ExplanationKey;

DROP VIEW AlertStatus;

-- One line an alert.
CREATE VIEW AlertStatus AS
SELECT a.AlertId, a.PublicId, a.Reference, a.Source, a.AlertName, a.Severity, a.Subject, a.SendPort, a.Priority,
       s.Status, s.StatusAt, CASE WHEN s.Status <> 'sending' THEN s.StatusReason END AS StatusReason,
       s.AttemptCount, s.DueAt AS NextAttemptAt,
       (SELECT count(*) FROM Recipient r WHERE r.AlertId = a.AlertId) AS RecipientCount,
       (SELECT count(*) FROM Recipient r WHERE r.AlertId = a.AlertId AND r.Status = 'relayed') AS RelayedCount,
       (SELECT count(*) FROM Recipient r WHERE r.AlertId = a.AlertId AND r.Status IN ('queued', 'delayed')) AS WaitingCount,
       (SELECT count(*) FROM Recipient r WHERE r.AlertId = a.AlertId AND r.Status IN ('failed', 'expired')) AS FailedCount,
       s.FinalAt, a.CreatedAt, a.CreatedBy, s.Origin
FROM Alert a
JOIN AlertState s ON s.AlertId = a.AlertId;

DROP VIEW Queue;

-- Depth and oldest age by send port and status of what is not final, and why nothing moves.
CREATE VIEW Queue AS
SELECT q.SendPort, q.Status, q.Depth, q.OldestAt,
       CAST(round((julianday('now') - julianday(q.OldestAt)) * 86400) AS INTEGER) AS OldestAgeSeconds,
       q.NextDueAt,
       CASE
           WHEN q.Status = 'sending'
               THEN coalesce((SELECT CASE WHEN i.StoppedAt IS NOT NULL OR i.LeaseUntil <= strftime('%Y-%m-%dT%H:%M:%fZ', 'now')
                                 THEN 'leased to instance ' || i.Name || ', whose lease ended at ' || i.LeaseUntil ||
                                      ': a running instance takes them over'
                                 WHEN i.WaitingFor IS NOT NULL THEN 'instance ' || i.Name || ': ' || i.WaitingFor
                                 ELSE i.UnrecordedCount || ' outcomes not recorded by instance ' || i.Name ||
                                      ' since ' || i.UnrecordedSince || ': see EventLog' END
                     FROM Instance i
                     WHERE (i.UnrecordedCount > 0 OR i.StoppedAt IS NOT NULL
                            OR i.LeaseUntil <= strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))
                       AND EXISTS (SELECT 1 FROM AlertState s WHERE s.LeaseOwner = i.InstanceId AND s.SendPort = q.SendPort)
                     ORDER BY i.LeaseUntil LIMIT 1),
                    (SELECT 'relay ' || rs.Relay || ': ' || rs.Reply
                     FROM SendPortRelay pr
                     JOIN RelayState rs ON rs.Relay = pr.Relay
                     JOIN Instance i ON i.InstanceId = rs.InstanceId
                     WHERE pr.SendPort = q.SendPort AND rs.ExplanationKey = 'relay-silent' AND i.StoppedAt IS NULL
                       AND i.LeaseUntil > strftime('%Y-%m-%dT%H:%M:%fZ', 'now')
                     ORDER BY pr.Ordinal LIMIT 1))
           WHEN q.Status = 'held' AND q.InDoubtCount = 0 THEN 'held by an operator until released'
           WHEN q.Status = 'held' AND q.InDoubtCount = q.Depth THEN 'held in doubt: see the view InDoubt'
           WHEN q.Status = 'held' THEN q.InDoubtCount || ' held in doubt: see the view InDoubt; ' ||
                                       'the others held by an operator until released'
           WHEN NOT EXISTS (SELECT 1 FROM Instance i WHERE i.StoppedAt IS NULL
                            AND i.LeaseUntil > strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))
               THEN 'no instance of the service is running'
           WHEN NOT EXISTS (SELECT 1 FROM SendPort p WHERE p.Name = q.SendPort
                            AND p.LastSeenAt > strftime('%Y-%m-%dT%H:%M:%fZ', 'now', '-2 minutes'))
               -- The sweep says which name is almost so.
               THEN coalesce((SELECT s.StatusReason FROM AlertState s
                              WHERE s.SendPort = q.SendPort AND s.Priority IN ('urgent', 'normal', 'low')
                                AND s.DueAt = q.NextDueAt AND s.StatusReason LIKE 'no running instance %' LIMIT 1),
                             'no running instance has a send port named ''' || q.SendPort || '''')
           WHEN NOT EXISTS (SELECT 1 FROM Instance i WHERE i.WaitingFor IS NULL AND i.StoppedAt IS NULL
                            AND i.LeaseUntil > strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))
               THEN (SELECT 'instance ' || i.Name || ': ' || i.WaitingFor
                     FROM Instance i
                     WHERE i.WaitingFor IS NOT NULL AND i.StoppedAt IS NULL
                       AND i.LeaseUntil > strftime('%Y-%m-%dT%H:%M:%fZ', 'now')
                     ORDER BY i.StartedAt LIMIT 1)
           WHEN NOT EXISTS (SELECT 1 FROM SendPortRelay pr
                            JOIN RelayState rs ON rs.Relay = pr.Relay
                            JOIN Instance i ON i.InstanceId = rs.InstanceId
                            WHERE pr.SendPort = q.SendPort AND rs.Condition = 'closed' AND i.StoppedAt IS NULL
                              AND i.LeaseUntil > strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))
               THEN (SELECT 'relay ' || rs.Relay || ' ' || CASE rs.Condition WHEN 'paused' THEN 'paused' ELSE 'unavailable' END ||
                            ' since ' || rs.Since || coalesce(', tried again at ' || rs.RetryAt, '') || coalesce(': ' || rs.Reply, '')
                     FROM SendPortRelay pr
                     JOIN RelayState rs ON rs.Relay = pr.Relay
                     JOIN Instance i ON i.InstanceId = rs.InstanceId
                     WHERE pr.SendPort = q.SendPort AND i.StoppedAt IS NULL
                     ORDER BY pr.Ordinal, rs.Since LIMIT 1)
           WHEN q.NextDueAt > strftime('%Y-%m-%dT%H:%M:%fZ', 'now')
               THEN coalesce((SELECT s.StatusReason || ', ' FROM AlertState s
                              WHERE s.SendPort = q.SendPort AND s.Priority IN ('urgent', 'normal', 'low')
                                AND s.DueAt = q.NextDueAt AND s.Status = q.Status AND s.StatusReason IS NOT NULL
                              LIMIT 1), '') || 'due at ' || q.NextDueAt
           ELSE COALESCE((SELECT i.UnclaimedCount || ' alerts refused by the database to instance ' || i.Name || ' since ' ||
                                 i.UnclaimedSince || ': see EventLog'
                          FROM Instance i
                          WHERE i.UnclaimedCount > 0 AND i.UnclaimedSince >= q.NextDueAt AND i.StoppedAt IS NULL
                            AND i.LeaseUntil > strftime('%Y-%m-%dT%H:%M:%fZ', 'now')
                          ORDER BY i.UnclaimedSince LIMIT 1),
               -- Due again, and given back the last time: among many that wait for each other one always is.
               CASE q.Status WHEN 'queued' THEN (SELECT s.StatusReason FROM AlertState s
                          WHERE s.SendPort = q.SendPort AND s.Priority IN ('urgent', 'normal', 'low')
                            AND s.DueAt = q.NextDueAt AND s.Status = q.Status AND s.StatusReason IS NOT NULL
                          LIMIT 1) END)
       END AS WaitingFor
FROM (SELECT SendPort, Status, count(*) AS Depth, min(CreatedAt) AS OldestAt, min(DueAt) AS NextDueAt,
             count(CASE WHEN Status = 'held' AND StatusReason LIKE 'in doubt:%' THEN 1 END) AS InDoubtCount
      FROM AlertState WHERE FinalAt IS NULL GROUP BY SendPort, Status) q;

-- One line for each relay of the instances that run: the worst that one of them says of it, how
-- many say what, what they may do together, and how the last sign-in ended.
CREATE VIEW Relay AS
WITH Running AS (
    SELECT rs.*,
           row_number() OVER (PARTITION BY rs.Relay ORDER BY
               CASE rs.Condition WHEN 'paused' THEN 1 WHEN 'open' THEN 2 WHEN 'half_open' THEN 3 ELSE 4 END,
               rs.Since, rs.InstanceId) AS Place
    FROM RelayState rs
    JOIN Instance i ON i.InstanceId = rs.InstanceId
    WHERE i.StoppedAt IS NULL AND i.LeaseUntil > strftime('%Y-%m-%dT%H:%M:%fZ', 'now')
), Total AS (
    SELECT Relay, count(*) AS Instances,
           count(CASE WHEN Condition = 'closed' THEN 1 END) AS ClosedCount,
           count(CASE WHEN Condition = 'half_open' THEN 1 END) AS HalfOpenCount,
           count(CASE WHEN Condition = 'open' THEN 1 END) AS OpenCount,
           count(CASE WHEN Condition = 'paused' THEN 1 END) AS PausedCount,
           CASE WHEN count(Connections) = count(*) THEN sum(Connections) END AS Connections,
           CASE WHEN count(MessageRate) = count(*) THEN group_concat(MessageRate, ' + ') END AS MessageRate,
           max(ThrottledBy) AS ThrottledBy,
           min(MaxRecipients) AS MaxRecipients
    FROM Running GROUP BY Relay
), LatestAuth AS (
    SELECT s.*, row_number() OVER (PARTITION BY s.Relay ORDER BY s.StateAt DESC, s.Secret) AS Place
    FROM RelayAuthentication s
)
SELECT w.Relay, w.Condition, w.Since, w.RetryAt, w.Reply, e.Cause, e.Advice,
       t.Instances, t.ClosedCount, t.HalfOpenCount, t.OpenCount, t.PausedCount,
       t.Connections, t.MessageRate, t.ThrottledBy, t.MaxRecipients,
       s.State AS Authentication, s.StateAt AS AuthenticationAt,
       CASE s.State WHEN 'refused' THEN strftime('%Y-%m-%dT%H:%M:%fZ', s.RefusedAt, '+15 minutes')
                    WHEN 'trying' THEN strftime('%Y-%m-%dT%H:%M:%fZ', s.StateAt, '+5 minutes') END AS AuthenticationRetryAt,
       coalesce(nullif(s.ReplyCode, 0) || ' ', '') || coalesce(s.EnhancedStatusCode || ' ', '') || s.ReplyText AS AuthenticationReply,
       (SELECT group_concat(n.SendPort, ', ')
        FROM (SELECT DISTINCT pr.SendPort
              FROM SendPortRelay pr
              JOIN SendPort p ON p.Name = pr.SendPort
              WHERE pr.Relay = w.Relay
                AND p.LastSeenAt > strftime('%Y-%m-%dT%H:%M:%fZ', 'now', '-2 minutes')
              ORDER BY pr.SendPort) n) AS SendPorts
FROM Running w
JOIN Total t ON t.Relay = w.Relay
LEFT JOIN LatestAuth s ON s.Relay = w.Relay AND s.Place = 1
LEFT JOIN ReplyExplanation e ON e.ExplanationKey = w.ExplanationKey
WHERE w.Place = 1;
