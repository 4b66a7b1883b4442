INSERT INTO sendport.Alert (PublicId, ToRecipients, CcRecipients, BccRecipients, FromAddress, Subject, SendPort)
    VALUES (@P1, @P2, @P3, @P4, @P5, @P6, @P7);
    SET @id = (SELECT a.AlertId FROM sendport.AlertRow a WITH (INDEX (UQ_Alert_PublicId), FORCESEEK) WHERE a.PublicId = @P1);
    UPDATE a SET Origin = @P8 FROM sendport.AlertRow a WITH (INDEX (PK_AlertRow), FORCESEEK) WHERE a.AlertId = @id;
    INSERT INTO sendport.ReceivedMessage (AlertId, Intake, ClientAddress, HeloName, UserName, ReversePath, MessageId,
        SizeBytes, BodyType, SmtpUtf8, EnvelopeId, DsnReturn, RecipientDsn, FromAllowed)
    VALUES (@id, @P9, @P10, @P11, @P12, @P13, @P14, @P15, @P16, @P17, @P18, @P19, @P20, @P21);
