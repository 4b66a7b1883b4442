//! Programs that call `sendmail`: each message is one alert, with the user who called.

use std::io::Write as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use sendport::sink::Sink;

use crate::not_run::not_run;
use crate::site::Site;
use crate::support::received::received;
use crate::{any_port, plain_relay, send_port_over, sink_at};

const SENDPORT: &str = env!("CARGO_BIN_EXE_sendport");

/// A site with the folder of sendmail, and the program under the name `sendmail`.
struct Sendmail {
    site: Site,
    sink: Sink,
    mails: tempfile::TempDir,
}

impl Sendmail {
    async fn new() -> Self {
        let mails = tempfile::tempdir().expect("a folder");
        let sink = sink_at(any_port(), mails.path(), &[]).await;
        let intake = "[intake.sendmail]\nkind = \"sendmail\"\nfolder = \"sendmail.d\"\nsend_port = \"default\"\nallow_senders = \
                      [\"example.test\"]\nlocal_domain = \"example.test\"\n[intake.sendmail.aliases]\nroot = [\"ops@example.test\"]\n";
        let site = Site::new(&(send_port_over(&plain_relay(sink.local_addr())) + intake));
        let folder = site.path("sendmail.d");
        std::fs::create_dir(&folder).expect("create");
        std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o3733)).expect("chmod");
        symlink(SENDPORT, site.path("sendmail")).expect("a link");
        let program = site.path("sendmail");
        let settings = format!("set sendmail={}\n", program.display());
        std::fs::write(site.path("mailrc"), settings).expect("write");
        Self { site, sink, mails }
    }

    fn folder(&self) -> String {
        self.site.path("sendmail.d").display().to_string()
    }

    /// The program under its other name.
    fn program(&self) -> String {
        self.site.path("sendmail").display().to_string()
    }

    /// Runs a program that finds sendmail's folder by the variable; `None` if the program is missing.
    fn run(&self, program: &str, arguments: &[&str], input: &str) -> Option<Output> {
        let started = Command::new(program)
            .args(arguments)
            .env("SENDPORT_SENDMAIL_FOLDER", self.folder())
            .env("MAILRC", self.site.path("mailrc"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn();
        let Ok(mut child) = started else {
            not_run(&format!(
                "{program} as a caller of sendmail: it is not installed"
            ));
            return None;
        };
        // A program that refuses its arguments does not read.
        let _written = child
            .stdin
            .take()
            .expect("a pipe")
            .write_all(input.as_bytes());
        Some(child.wait_with_output().expect("its end"))
    }

    /// The same of one that succeeds; true if it ran.
    fn sends(&self, program: &str, arguments: &[&str], input: &str) -> bool {
        let Some(output) = self.run(program, arguments, input) else {
            return false;
        };
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{program} {arguments:?}: {errors}");
        true
    }

    /// Runs the service until so many alerts are final, and returns what the relay got.
    async fn relayed(&self, alerts: usize) -> Vec<String> {
        let service = self.site.run();
        let count = "SELECT count(*) FROM AlertState WHERE FinalAt IS NOT NULL";
        self.site
            .wait_until(count, &alerts.to_string(), Duration::from_secs(60))
            .await;
        assert_eq!(service.stop(), Some(0), "{}", self.site.log());
        let messages = received(self.mails.path());
        messages
            .iter()
            .map(|it| String::from_utf8_lossy(it).into_owned())
            .collect()
    }
}

/// The message with this text in it.
fn with<'a>(messages: &'a [String], text: &str) -> &'a str {
    let found = messages.iter().find(|it| it.contains(text));
    found.unwrap_or_else(|| panic!("{text}: {messages:?}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cron_and_mdadm_write_arrives_though_the_service_was_down() {
    let sendmail = Sendmail::new().await;
    let user = String::from_utf8(Command::new("id").arg("-un").output().expect("id").stdout)
        .expect("text");
    let user = user.trim();
    let cron = "From: root (Cron Daemon)\nTo: root\nSubject: Cron <root@db1> backup\nContent-Type: text/plain; \
                charset=UTF-8\nAuto-Submitted: auto-generated\n\nZ\u{e4}hler\n.\nend of cron\n";
    assert!(sendmail.sends(
        &sendmail.program(),
        &["-FCronDaemon", "-i", "-B8BITMIME", "-oem", "root"],
        cron
    ));
    let mdadm = "From: mdadm monitoring <root>\nTo: root, ann@example.test\nBcc: hidden@example.test\nSubject: \
                 DegradedArray event\n\nend of mdadm\n.\nnot sent\n";
    assert!(sendmail.sends(&sendmail.program(), &["-t"], mdadm));
    let messages = sendmail.relayed(2).await;
    let cron = with(&messages, "end of cron");
    assert!(
        cron.contains("\r\nFrom: root@example.test (Cron Daemon)\r\nTo: root@example.test\r\n"),
        "{cron}"
    );
    assert!(
        cron.contains("Z\u{e4}hler\r\n.\r\nend of cron\r\n"),
        "{cron}"
    );
    assert!(
        cron.contains(&format!("(sendport sendmail, user {user})")),
        "{cron}"
    );
    let mdadm = with(&messages, "end of mdadm");
    assert!(
        !mdadm.contains("hidden") && !mdadm.contains("not sent"),
        "{mdadm}"
    );
    let site = &sendmail.site;
    for (sql, value) in [
        (
            "SELECT group_concat(DISTINCT Origin) FROM AlertState",
            "sendmail",
        ),
        (
            "SELECT group_concat(DISTINCT UserName) FROM ReceivedMessage",
            user,
        ),
        (
            "SELECT count(*) FROM ReceivedMessage WHERE ReversePath LIKE '%@example.test'",
            "2",
        ),
        (
            "SELECT group_concat(Address, ' ') FROM (SELECT Address FROM Recipient ORDER BY Address)",
            "ann@example.test hidden@example.test ops@example.test ops@example.test",
        ),
    ] {
        assert_eq!(site.value(sql), value, "{sql}");
    }
    sendmail.sink.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_text_without_a_header_gets_one() {
    let sendmail = Sendmail::new().await;
    let folder = sendmail.folder();
    let arguments = [
        "sendmail",
        "--folder",
        &folder,
        "-F",
        "J\u{fc}rgen",
        "-f",
        "app@example.test",
        "bob@example.test",
    ];
    assert!(sendmail.sends(SENDPORT, &arguments, "plain text: yes\n"));
    let messages = sendmail.relayed(1).await;
    let plain = with(&messages, "plain text: yes");
    let from = "\r\nFrom: =?utf-8?B?SsO8cmdlbg==?=\r\n <app@example.test>\r\n";
    assert!(plain.contains(from), "{plain}");
    let sql = "SELECT ReversePath FROM ReceivedMessage";
    assert_eq!(sendmail.site.value(sql), "app@example.test");
    sendmail.sink.stop().await;
}

/// Whatever the message begins with, its envelope is that of the command line.
#[tokio::test(flavor = "multi_thread")]
async fn a_message_adds_nothing_to_its_envelope() {
    let sendmail = Sendmail::new().await;
    let folder = sendmail.folder();
    let head = ["sendmail", "--folder", &folder, "-f", "app@example.test"];
    let text = "X-Receiver: evil@example.test NOTIFY=NEVER\nX-Sender: evil@example.test\nX-Sender-Name: Evil\n\
        To: ann@example.test\nSubject: a\rBcc: evil@example.test\n\n10%\r100%\n";
    let to_one = [&head[..], &["ann@example.test"]].concat();
    let of_header = [&head[..], &["-t"]].concat();
    assert!(sendmail.sends(SENDPORT, &to_one, text));
    assert!(sendmail.sends(SENDPORT, &of_header, text));
    let messages = sendmail.relayed(2).await;
    let recipients = "SELECT group_concat(Address, ' ') FROM Recipient";
    assert_eq!(
        sendmail.site.value(recipients),
        "ann@example.test ann@example.test"
    );
    for message in &messages {
        assert!(message.ends_with("\r\n\r\n10%\r\n100%\r\n"), "{message}");
        assert!(
            message.contains(" <app@example.test>\r\n") && !message.contains("Evil <"),
            "{message}"
        );
    }
    sendmail.sink.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn php_and_mail_programs_send() {
    let sendmail = Sendmail::new().await;
    let program = sendmail.program();
    let mut sent = Vec::new();
    let path = format!(
        "sendmail_path=\"{SENDPORT} sendmail --folder {} -t -i\"",
        sendmail.folder()
    );
    let script = "$ok = mail('ann@example.test, Bob <bob@example.test>', 'from PHP', \"line one\\n.\\nend of PHP\", \
                  ['From' => 'app@example.test', 'Cc' => 'cc@example.test'], '-fbounces@example.test'); exit($ok ? 0 : 1);";
    if sendmail.sends("php", &["-d", &path, "-r", script], "") {
        sent.push("line one\r\n.\r\nend of PHP");
    }
    let mta = format!("mta={program}");
    if sendmail.sends(
        "s-nail",
        &["-n", "-S", &mta, "-s", "from s-nail", "ann@example.test"],
        "end of s-nail\n",
    ) {
        sent.push("end of s-nail");
    }
    let messages = sendmail.relayed(sent.len()).await;
    for text in &sent {
        with(&messages, text);
    }
    if sent.contains(&"line one\r\n.\r\nend of PHP") {
        let sql = "SELECT ReversePath FROM ReceivedMessage JOIN Alert USING (AlertId) WHERE Subject = 'from PHP'";
        assert_eq!(sendmail.site.value(sql), "bounces@example.test");
    }
    sendmail.sink.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_has_a_code_of_sysexits() {
    let sendmail = Sendmail::new().await;
    let program = sendmail.program();
    let missing = sendmail.site.path("missing").display().to_string();
    for (arguments, input, code, what) in [
        (&["-Z"][..], "", 64, "-Z is no option of sendmail"),
        (&[], "", 64, "there is no recipient"),
        (&["-bs"], "", 64, "submit over SMTP"),
        (
            &["-t"],
            "Subject: x\n\nTo: in@the.body\n",
            65,
            "name no recipient",
        ),
        (&["-t"], "To: John Doe\n\nx\n", 65, "'John Doe'"),
        (&["a b@example.test"], "", 67, "'a b@example.test'"),
        (&["a%example.test@example.test"], "", 67, "route"),
        (
            &["-f", "a@example.test, b@example.test", "root"],
            "",
            64,
            "expected one address",
        ),
        (
            &["a@example.test\nX-Receiver: b@example.test"],
            "",
            67,
            "control character",
        ),
        (&["--folder", &missing, "root"], "x\n", 78, "--folder"),
        (&["--folder", "", "root"], "x\n", 64, "a folder is missing"),
        (
            &["-i", "--folder", &missing, "root"],
            "x\n",
            64,
            "has to be the first option",
        ),
    ] {
        let output = sendmail.run(&program, arguments, input).expect("it runs");
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {errors}");
        assert!(
            errors.starts_with("sendport: sendmail: ") && errors.contains(what),
            "{arguments:?}: {errors}"
        );
    }
    let left = std::fs::read_dir(sendmail.folder())
        .expect("the folder")
        .count();
    assert_eq!(left, 0, "nothing is submitted");
    // The folder of the configuration.
    let config = sendmail.site.config().display().to_string();
    let output = sendmail
        .run(
            SENDPORT,
            &["--config", &config, "sendmail", "-i", "root"],
            "x\n",
        )
        .expect("it runs");
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert_eq!(
        std::fs::read_dir(sendmail.folder())
            .expect("the folder")
            .count(),
        1
    );
    sendmail.sink.stop().await;
}

/// In a folder as the package makes it, other users may write, and nothing else.
#[tokio::test(flavor = "multi_thread")]
async fn every_user_may_send_and_none_may_look() {
    let sendmail = Sendmail::new().await;
    let is_root = Command::new("id")
        .arg("-u")
        .output()
        .is_ok_and(|it| it.stdout == b"0\n");
    if !is_root {
        return not_run("sendmail by another user: this user is not root");
    }
    let open = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(sendmail.site.path(""), open).expect("chmod");
    // Others cannot reach the build folder.
    let program = sendmail.site.path("program");
    std::fs::copy(SENDPORT, &program).expect("copy");
    let as_nobody = |line: &str| {
        let line = line.replace("SENDPORT", &program.display().to_string());
        let line = line.replace("FOLDER", &sendmail.folder());
        sendmail.run(
            "setpriv",
            &[
                "--reuid=65534",
                "--regid=65534",
                "--clear-groups",
                "sh",
                "-c",
                &line,
            ],
            "from nobody\n",
        )
    };
    let code = |line: &str| as_nobody(line).and_then(|it| it.status.code());
    assert_eq!(
        code("umask 077; SENDPORT sendmail --folder FOLDER -f app@example.test ann@example.test"),
        Some(0)
    );
    assert_ne!(code("ls FOLDER"), Some(0));
    let file = std::fs::read_dir(sendmail.folder())
        .expect("list")
        .next()
        .expect("a file")
        .expect("an entry");
    let mode = file.metadata().expect("metadata").permissions().mode() & 0o777;
    assert_eq!(mode, 0o640, "its group, that of the service, may read it");
    std::fs::set_permissions(sendmail.folder(), std::fs::Permissions::from_mode(0o2730))
        .expect("chmod");
    let refused = as_nobody("SENDPORT sendmail --folder FOLDER ann@example.test").expect("it runs");
    assert_eq!(refused.status.code(), Some(77), "{refused:?}");
    let messages = sendmail.relayed(1).await;
    with(&messages, "(sendport sendmail, user nobody)");
    sendmail.sink.stop().await;
}
