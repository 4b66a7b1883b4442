-- expire, fail_unrouted, adopt, resolve: the lists that recipients' rows are made from.
SELECT ToRecipients, CcRecipients, BccRecipients FROM Alert WHERE AlertId = ?1
