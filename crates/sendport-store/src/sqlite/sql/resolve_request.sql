-- resolve: the audit says who resolved it, when and how.
INSERT INTO OperatorRequest (Verb, AlertId, Resolution, Comment, RequestedAt, RequestedBy, HostName, State, AppliedCount,
                             CompletedAt, Result)
VALUES ('resolve', ?1, ?2, ?3, ?4, ?5, ?6, 'done', 1, ?4, 'the alert is ' || ?7)
