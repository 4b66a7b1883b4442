-- register: cause and advice that Delivery joins.
INSERT INTO ReplyExplanation (ExplanationKey, Fault, Cause, Advice)
VALUES (?1, ?2, ?3, ?4)
ON CONFLICT (ExplanationKey) DO UPDATE SET
    Fault = excluded.Fault, Cause = excluded.Cause, Advice = excluded.Advice
