use crate::send_port_over;
use crate::site::{Site, text};
use crate::tsql::{run, run_all, server};

const DISCARD: &str = "[relay.main]\nkind = \"discard\"\n";
const PASSWORD: &str = "Sendport-1";

/// A login that sees everything and may change nothing, and one of the service.
#[tokio::test]
async fn a_reader_is_no_service() {
    let Some(server) = server() else { return };
    let database = format!("sendport_test_{}", uuid::Uuid::new_v4().simple());
    let own = format!("{server};Database={database}");
    let site = Site::on(&own, &send_port_over(DISCARD));
    let owner = site.sendport(&["check"]);
    assert!(owner.status.success(), "{}", text(&owner));
    for (role, fails) in [("sendport_reader", true), ("sendport_service", false)] {
        let login = format!("{role}_{}", uuid::Uuid::new_v4().simple());
        let make = [
            format!("CREATE LOGIN {login} WITH PASSWORD = '{PASSWORD}'"),
            format!("CREATE USER {login} FOR LOGIN {login}"),
            format!("ALTER ROLE {role} ADD MEMBER {login}"),
        ];
        run_all(&own, &make).await.expect("make the login");
        let config = std::fs::read_to_string(site.config()).expect("read");
        let as_it = format!("{own};User Id={login};Password={PASSWORD}");
        std::fs::write(site.config(), config.replace(&own, &as_it)).expect("write");
        let checked = site.sendport(&["check"]);
        std::fs::write(site.config(), config).expect("write");
        let output = text(&checked);
        let wanted =
            format!("FAIL  database: cannot do what the service does: the user '{login}' may not ");
        assert_eq!(output.contains(&wanted), fails, "{output}");
        assert_eq!(output.contains("role sendport_service"), fails, "{output}");
        assert_eq!(
            checked.status.code(),
            Some(if fails { 4 } else { 0 }),
            "{output}"
        );
        let remove = [format!("DROP USER {login}"), format!("DROP LOGIN {login}")];
        run_all(&own, &remove).await.expect("drop the login");
    }
    run(&server, &format!("DROP DATABASE {database}"))
        .await
        .expect("drop the database");
}
