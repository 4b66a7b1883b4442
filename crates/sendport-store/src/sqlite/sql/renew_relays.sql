-- renew: what this instance knows of one relay.
INSERT INTO RelayState (InstanceId, Relay, Condition, Since, RetryAt, Reply, ExplanationKey, Connections, MessageRate,
                        ThrottleReason, MaxRecipients)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)
