use super::*;
use crate::config::Config;

const SMTP: &str = "<TransportType Name=\"SMTP\" />";

/// A binding file with one send port, whose primary transport has these properties.
fn binding(props: &str, transport: &str, port: &str) -> String {
    let props = format!("<CustomProps>{props}</CustomProps>");
    let props = props.replace('<', "&lt;").replace('>', "&gt;");
    format!(
        "<BindingInfo><SendPortCollection><SendPort Name=\"P\" IsStatic=\"true\"><PrimaryTransport>{SMTP}\
         <Address>ops@contoso.com</Address><TransportTypeData>{props}</TransportTypeData>{transport}\
         </PrimaryTransport>{port}</SendPort></SendPortCollection></BindingInfo>"
    )
}

/// What it becomes; the configuration has no problem.
#[track_caller]
fn imported(text: &str, handlers: &Handlers) -> (ImportedConfig, Config) {
    let binding = Binding::read(text.as_bytes()).expect("a binding file");
    let made = import(&binding, handlers, None);
    let text = made.to_toml();
    let config = Config::from_text(&text).unwrap_or_else(|error| panic!("{error} in\n{text}"));
    assert_eq!(config.problems(), [], "{text}");
    (made, config)
}

#[track_caller]
fn finds(made: &ImportedConfig, property: &str, part: &str) {
    let what = format!("send port 'P', {property}");
    let found = made
        .findings
        .iter()
        .any(|it| it.what == what && it.text.contains(part));
    assert!(found, "{what}: {part} is not in {:#?}", made.findings);
}

const OWN: &str = "<SMTPHost vt=\"8\">mail:2525</SMTPHost><SMTPAuthenticate vt=\"19\">0</SMTPAuthenticate>\
    <From vt=\"8\">a@contoso.com</From>";

#[test]
fn the_send_port_overrides_its_handler() {
    let handlers = Handlers::read(
        b"<SendHandlers><SendHandler HostName=\"H\"><CustomProps><SMTPHost>h.contoso.com</SMTPHost>\
          <From>h@contoso.com</From><SMTPAuthenticate>0</SMTPAuthenticate></CustomProps></SendHandler>\
          <SendHandler HostName=\"G\">&lt;CustomProps&gt;&lt;SMTPHost&gt;g&lt;/SMTPHost&gt;&lt;/CustomProps&gt;\
          </SendHandler></SendHandlers>",
    )
    .expect("handlers");
    let of_host = |host: &str, props: &str| {
        let (made, config) = imported(
            &binding(props, &format!("<SendHandler Name=\"{host}\" />"), ""),
            &handlers,
        );
        let from = config.send_port["P"].from.address.to_string();
        (made.relays[0].host.clone(), made.relays[0].port, from)
    };
    let is = |host: &str, port, from: &str| (host.to_owned(), port, from.to_owned());
    assert_eq!(of_host("h", ""), is("h.contoso.com", 25, "h@contoso.com"));
    assert_eq!(of_host("G", ""), is("g", 25, "alerts@example.invalid"));
    assert_eq!(of_host("H", OWN), is("mail", 2525, "a@contoso.com"));
    assert_eq!(of_host("X", "").0, "relay.invalid");
}

#[test]
fn authentication_is_that_of_the_adapter() {
    let login = |props: &str| imported(&binding(props, "", ""), &Handlers::default());
    let (made, _) = login("<SMTPHost>m</SMTPHost>");
    assert!(
        made.to_toml().contains("mechanism = \"ntlm\""),
        "not configured is NTLM"
    );
    finds(&made, "PrimaryTransport, SMTPAuthenticate", "host instance");
    let secret = "<SMTPAuthenticate>1</SMTPAuthenticate><Username>u</Username><Password vt=\"8\">Never-Copied-1</Password>";
    let (made, config) = login(secret);
    assert!(!made.to_toml().contains("Never-Copied"));
    assert!(!format!("{made:?}").contains("Never-Copied"));
    assert_eq!(config.warnings(), []);
    let (made, _) = login("<SMTPAuthenticate>1</SMTPAuthenticate>");
    finds(&made, "PrimaryTransport, Username", "there is none");
}

#[test]
fn retries_and_service_window_are_carried_over() {
    let transport = |window: &str| {
        format!(
            "<RetryCount>0</RetryCount><RetryInterval>0</RetryInterval>\
             <ServiceWindowEnabled>true</ServiceWindowEnabled>{window}"
        )
    };
    let hours = |from: &str, to: &str| {
        let times = format!("<FromTime>{from}</FromTime><ToTime>{to}</ToTime>");
        imported(&binding(OWN, &transport(&times), ""), &Handlers::default())
    };
    let (made, config) = hours("2000-01-01T22:00:00", "2000-01-01T05:30:00Z");
    let port = &config.send_port["P"];
    assert_eq!(port.retry.attempts, 1);
    let window = port.delivery_window.as_ref().expect("a window");
    assert_eq!(
        (window.open[0].from.as_str(), window.open[0].to.as_str()),
        ("22:00", "05:30")
    );
    finds(&made, "ServiceWindowEnabled", "--time-zone");
    for (from, to) in [
        ("2000-01-01T00:00:00", "2000-01-01T23:59:59"),
        ("x", "y"),
        ("T25:00", "T30:61"),
    ] {
        let (_, config) = hours(from, to);
        assert!(config.send_port["P"].delivery_window.is_none(), "{from}");
    }
}

#[test]
fn absurd_retries_are_not_taken() {
    let retry = |count: &str, interval: &str| {
        let transport =
            format!("<RetryCount>{count}</RetryCount><RetryInterval>{interval}</RetryInterval>");
        let (made, config) = imported(&binding(OWN, &transport, ""), &Handlers::default());
        (made, config.send_port["P"].retry.attempts)
    };
    let (made, attempts) = retry("-1", "-5");
    assert_eq!(attempts, 4, "BizTalk's default");
    finds(&made, "PrimaryTransport, RetryCount", "'-1' is no number");
    finds(
        &made,
        "PrimaryTransport, RetryInterval",
        "'-5' is no number",
    );
    let (made, attempts) = retry("1000000000000", "1000000000000");
    assert_eq!(attempts, 1_001);
    finds(
        &made,
        "PrimaryTransport, RetryCount",
        "is more than 1000; 1000 is written",
    );
    finds(
        &made,
        "PrimaryTransport, RetryInterval",
        "is more than 525600",
    );
}

#[test]
fn ordered_delivery_of_the_transport_is_noted() {
    let ordered = "<OrderedDelivery>true</OrderedDelivery>";
    let (made, _) = imported(&binding(OWN, ordered, ""), &Handlers::default());
    finds(&made, "OrderedDelivery", "in no order");
}

#[test]
fn seconds_of_a_window_are_noted() {
    let window = "<ServiceWindowEnabled>true</ServiceWindowEnabled><FromTime>2000-01-01T08:00:30</FromTime>\
                  <ToTime>2000-01-01T23:59:59</ToTime>";
    let (made, _) = imported(&binding(OWN, window, ""), &Handlers::default());
    finds(&made, "FromTime, ToTime", "T08:00:30' is written as 08:00");
    let all = made
        .findings
        .iter()
        .filter(|it| it.what.ends_with("ToTime"));
    assert_eq!(all.count(), 1, "23:59:59 is the end of the day");
}

#[test]
fn an_encoder_that_signs_or_encrypts_is_never_dropped() {
    let data = |properties: &str| {
        let text = format!(
            "<Root><Component Name=\"Microsoft.BizTalk.Component.MIME_SMIME_Encoder\"><Properties>{properties}\
             </Properties></Component></Root>"
        );
        let text = text.replace('<', "&lt;").replace('>', "&gt;");
        format!("<TransmitPipeline Name=\"X\" /><SendPipelineData>{text}</SendPipelineData>")
    };
    let protection = |port: &str| {
        let (made, _) = imported(&binding(OWN, "", port), &Handlers::default());
        let text = made.to_toml();
        let line = text.lines().find(|line| line.starts_with("protection"));
        line.map(|line| line.replace("protection = ", "").replace('"', ""))
    };
    let is = |word: &str| Some(word.to_owned());
    let encrypts = "<EnableEncryption vt=\"11\">-1</EnableEncryption>";
    assert_eq!(protection(&data(encrypts)), is("encrypt"));
    assert_eq!(
        protection(&data("<SignatureType>2</SignatureType>")),
        is("sign")
    );
    let both = format!("<SignatureType>ClearSign</SignatureType>{encrypts}");
    assert_eq!(protection(&data(&both)), is("sign+encrypt"));
    assert_eq!(
        protection(&data("<EnableEncryption>0</EnableEncryption>")),
        None
    );
    let certificate = "<EncryptionCert ThumbPrint=\"AB CD\" />";
    let custom = format!("<TransmitPipeline Name=\"X\" />{certificate}");
    assert_eq!(
        protection(&custom),
        is("encrypt"),
        "its pipeline encrypts, probably"
    );
    assert_eq!(protection(certificate), None, "no pipeline");
}

#[test]
fn macros_are_turned_on_where_they_are_used() {
    let subject = |text: &str| {
        let props = format!("{OWN}<Subject>{text}</Subject>");
        imported(&binding(&props, "", ""), &Handlers::default())
    };
    assert!(subject("Order %MessageID%").1.send_port["P"].biztalk_macros);
    assert!(!subject("5 % of 10 %").1.send_port["P"].biztalk_macros);
    let (made, config) = subject("%Nonsense%");
    assert!(!config.send_port["P"].biztalk_macros);
    finds(&made, "macros", "'%Nonsense%'");
}

#[test]
fn comments_cannot_become_settings() {
    let props = format!("{OWN}<Subject>x\n[relay.evil]\nkind = \"discard\"</Subject>");
    let port =
        "<Description>a\n[relay.evil]</Description><ApplicationName>b\r[x]</ApplicationName>";
    let (_, config) = imported(&binding(&props, "", port), &Handlers::default());
    assert_eq!(config.relay.len(), 1);
}

#[test]
fn properties_that_are_no_xml_leave_a_finding() {
    let text = binding(OWN, "", "").replace("&lt;CustomProps&gt;", "&lt;CustomProp&gt;");
    let (made, _) = imported(&text, &Handlers::default());
    finds(&made, "TransportTypeData", "it cannot be read");
}

#[test]
fn hostile_xml_is_refused_within_bounds() {
    let lol = "<!DOCTYPE l [<!ENTITY a \"aaaaaaaaaa\"><!ENTITY b \"&a;&a;&a;\">]><BindingInfo>&b;</BindingInfo>";
    let error = Binding::read(lol.as_bytes()).expect_err("entities");
    assert!(matches!(error, BizTalkError::Xml(_)), "{error}");
    let external = "<!DOCTYPE l SYSTEM \"file:///etc/passwd\"><BindingInfo />";
    assert!(matches!(
        Binding::read(external.as_bytes()),
        Err(BizTalkError::Xml(_))
    ));
    let depth = 200_000;
    let deep = format!("{}{}", "<a>".repeat(depth), "</a>".repeat(depth));
    assert!(Binding::read(deep.as_bytes()).is_err());
    let wide = format!("<BindingInfo>{}</BindingInfo>", "<a/>".repeat(2_100_000));
    assert!(matches!(
        Binding::read(wide.as_bytes()),
        Err(BizTalkError::Xml(_))
    ));
    for odd in ["", "x", "<", "<BindingInfo", "<a/>", "\u{feff}"] {
        assert!(Binding::read(odd.as_bytes()).is_err(), "{odd}");
        assert!(Handlers::read(odd.as_bytes()).is_err(), "{odd}");
    }
}
