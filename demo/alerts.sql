-- An application inserts rows in its own transaction. Three columns are enough.

-- 1. A plain alert.
INSERT INTO Alert (ToRecipients, Subject, Body)
VALUES ('ops@contoso.example; "Night shift" <oncall@contoso.example>',
        'Order 4711 is late', 'The truck left Vienna two hours behind schedule.');

-- 2. From a template, with a payload, urgent, in German.
INSERT INTO Alert (ToRecipients, BccRecipients, Template, Payload, Language, Priority, Reference)
VALUES ('dispatch@contoso.example', 'audit@contoso.example', 'order-late',
        '{"order": 4712, "customer": "Fabrikam Österreich", "days_late": 3, "due": "2026-11-18",
          "carrier": "Alpine Air Travel", "url": "https://orders.contoso.example/4712",
          "lines": [{"quantity": 12, "item": "Förderband"}, {"quantity": 4, "item": "Antrieb"}]}', 'de-AT', 'urgent', 'order-4712');

-- 3. HTML; one of the two recipients does not exist: partial.
INSERT INTO Alert (ToRecipients, Subject, Body, BodyFormat, Importance)
VALUES ('ops@contoso.example; nobody@contoso.example',
        'Disk space on SQL07 – 4 % left', '<h1>SQL07</h1><p>Volume <b>D:</b> has <b>4&nbsp;%</b> left.</p>', 'html', 'high');

-- 4. A mailbox that is busy at first: delayed, then relayed.
INSERT INTO Alert (ToRecipients, Subject, Body)
VALUES ('busy@contoso.example', 'Backup finished', 'All 14 databases, 212 GB.');

-- 5. A template with a variable that is missing in the payload: failed, with the reason.
INSERT INTO Alert (ToRecipients, Template, Payload, Reference)
VALUES ('ops@contoso.example', 'order-late', '{"order": 4713}', 'order-4713');

-- 6. An attempt to inject a header: failed, with the reason.
INSERT INTO Alert (ToRecipients, Subject, Body)
VALUES ('ops@contoso.example', 'Invoice' || char(13, 10) || 'Bcc: everybody@contoso.example', '...');
