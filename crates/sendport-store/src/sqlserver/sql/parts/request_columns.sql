-- A line of OperatorRequest.
o.RequestId, o.Verb, o.AlertId, o.SendPort, o.AlertName, o.Reference, o.CreatedBy, o.Relay, o.ExplanationKey, o.Status,
o.CreatedFrom, o.CreatedUntil, o.FinalBefore, o.HoldRequestId, o.MatchesAll, o.Recipients, o.NewMessageId, o.BodiesOnly,
o.Comment, o.RequestedAt, o.RequestedBy, o.HostName, o.State, o.AppliedCount, o.RefusedCount, o.CompletedAt, o.Result,
o.RedirectTo, o.Resolution
