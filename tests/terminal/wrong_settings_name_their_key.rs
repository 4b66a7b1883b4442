use crate::program::run;
use crate::site::Site;

const PORT: &str = "[send_port.default]\nfrom = \"alerts@example.test\"\nrelays = [\"main\"]\n";

fn relay(settings: &str) -> Site {
    Site::new(&format!(
        "[relay.main]\nkind = \"smtp\"\nhost = \"127.0.0.1\"\ntls = \"implicit\"\n{settings}\n{PORT}"
    ))
}

#[test]
fn names_the_key_of_a_missing_file() {
    for setting in ["ca_file", "client_certificate_file"] {
        let printed = run(
            &relay(&format!("{setting} = \"none.pem\"")).path(""),
            &["check", "--offline"],
        );
        printed.prints(3, &[setting, "none.pem", "No such file or directory"]);
        assert!(
            !format!("{}{}", printed.out, printed.err).contains("error:"),
            "{printed:?}"
        );
    }
}

#[test]
fn names_the_key_of_a_file_of_another_kind() {
    for setting in ["ca_file", "client_certificate_file"] {
        let site = relay(&format!("{setting} = \"none.pem\""));
        std::fs::write(site.path("none.pem"), "no PEM").expect("write");
        let printed = run(&site.path(""), &["check", "--offline"]);
        printed.prints(3, &[setting, "none.pem", "PEM"]);
        assert!(
            !format!("{}{}", printed.out, printed.err).contains("error:"),
            "{printed:?}"
        );
    }
}

#[test]
fn names_the_key_of_an_invalid_connection_string() {
    let site = Site::new(&format!("[relay.main]\nkind = \"discard\"\n{PORT}"));
    for (text, hint) in [
        ("sqllite:sendport.db", "write 'sqlite:sendport.db'"),
        ("postgres://u@h/d", "another kind of database"),
        (
            "Server=h;Database=d;Encript=no;User Id=u;Password=p",
            "Encript",
        ),
    ] {
        for arguments in [
            &["check", "--offline"][..],
            &["check"],
            &["status"],
            &["run"],
        ] {
            let mut command = crate::program::program(&site.path(""), arguments);
            command.env("SENDPORT__DATABASE__CONNECTION", text);
            let output = command.output().expect("run sendport");
            let printed = format!(
                "{}{}",
                String::from_utf8_lossy(&output.stdout),
                String::from_utf8_lossy(&output.stderr)
            );
            assert_eq!(output.status.code(), Some(3), "{arguments:?}: {printed}");
            for wanted in ["database.connection", hint] {
                assert!(
                    printed.contains(wanted),
                    "{arguments:?}: {wanted}: {printed}"
                );
            }
        }
    }
}
