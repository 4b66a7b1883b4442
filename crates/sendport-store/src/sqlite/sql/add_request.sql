-- add_request: a cancel or a requeue is about alerts that are there now, and a purge about what became final at least an
-- hour ago.
INSERT INTO OperatorRequest (Verb, AlertId, SendPort, AlertName, Reference, CreatedBy, Relay, ExplanationKey, Status,
                             CreatedFrom, CreatedUntil, HoldRequestId, MatchesAll, Recipients, RequestedAt, FinalBefore,
                             BodiesOnly, NewMessageId, Comment, RequestedBy, HostName, RedirectTo)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10,
        CASE WHEN ?1 IN ('cancel', 'requeue') THEN coalesce(?11, ?15) ELSE ?11 END,
        ?12, ?13, ?14, ?15, CASE ?1 WHEN 'purge' THEN min(coalesce(?16, ?15), strftime('%Y-%m-%dT%H:%M:%fZ', ?15, '-1 hour')) END,
        ?17, ?18, ?19, ?20, ?21, ?22)
