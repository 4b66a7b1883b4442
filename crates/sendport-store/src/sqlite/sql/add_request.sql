-- add_request: a cancel or a requeue is about alerts that are there now.
INSERT INTO OperatorRequest (Verb, AlertId, SendPort, AlertName, Reference, CreatedBy, Relay, ExplanationKey, Status,
                             CreatedFrom, CreatedUntil, HoldRequestId, MatchesAll, Recipients, RequestedAt, NewMessageId,
                             Comment, RequestedBy, HostName, RedirectTo)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10,
        CASE WHEN ?1 IN ('cancel', 'requeue') THEN coalesce(?11, ?15) ELSE ?11 END,
        ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20)
