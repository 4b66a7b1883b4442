#!/usr/bin/env python3
"""Runs what `sendport migrate --print` prints in the clients that DBAs use, as it is and with a batch that fails.

    tests/tsql/clients.py --tools target/tsql --sendport target/debug/sendport

SENDPORT_TEST_SQLSERVER has the connection string of the server; each run creates and drops a database. The script as it
is must create the schema. A script with a failing batch must leave nothing, whether the client stops at an error or
not. Prints which clients are not installed, and exits with 1 if a run has another result.
"""
import argparse
import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import uuid
from pathlib import Path

# Batches that fail at run time, without ending the transaction, before they run, and as a statement that is alone in
# its batch.
FAILING = {
    "division by zero": "SELECT 1 / 0;",
    "RAISERROR": "RAISERROR (N'planted', 16, 1);",
    "syntax error": "SELEKT FROM WHERE;",
    "view of a missing column": "CREATE VIEW sendport.Planted AS SELECT Nope FROM sendport.SchemaVersion;",
}
# The failing batch follows this one, in the middle of the script.
PLANTED_BEHIND = "CREATE TABLE sendport.Recipient "
ODBC_DRIVER = next(Path("/usr/lib").glob("*/odbc/libtdsodbc.so"), None)


def start_in_venv(tools):
    python = tools / "venv/bin/python"
    if Path(sys.prefix) != python.parent.parent:
        os.execv(python, [str(python), *sys.argv])


class Server:
    def __init__(self, connection_string):
        pairs = dict(pair.split("=", 1) for pair in connection_string.split(";") if "=" in pair)
        pairs = {key.strip().lower(): value.strip() for key, value in pairs.items()}
        host, _, port = pairs["server"].removeprefix("tcp:").partition(",")
        self.host, self.port = host, port or "1433"
        self.user, self.password = pairs["user id"], pairs["password"]

    def connect(self, database):
        import pymssql
        return pymssql.connect(server=self.host, port=self.port, user=self.user, password=self.password,
                               database=database, autocommit=True)

    def ask(self, database, statement):
        with self.connect(database) as connection:
            cursor = connection.cursor()
            cursor.execute(statement)
            return cursor.fetchall() if cursor.description else None


def batches(script):
    return [batch for batch in script.split("\nGO\n") if batch.strip()]


def pymssql_client(goes_on):
    """Sends what sqlcmd sends: with -b it stops at an error, without it goes on."""
    def run(server, database, path):
        import pymssql
        with server.connect(database) as connection:
            cursor = connection.cursor()
            for batch in batches(path.read_text(encoding="utf-8")):
                try:
                    cursor.execute(batch)
                except pymssql.Error:
                    if not goes_on:
                        return
    return run


def pyodbc_client(server, database, path):
    """As SQLAlchemy does it: in the connection's own transaction, which it commits at the end."""
    import pyodbc
    connection = pyodbc.connect(
        f"DRIVER={ODBC_DRIVER};SERVER={server.host};PORT={server.port};DATABASE={database};TDS_Version=7.4;"
        f"UID={server.user};PWD={server.password}", autocommit=False)
    with contextlib.closing(connection), contextlib.suppress(pyodbc.Error):
        for batch in batches(path.read_text(encoding="utf-8")):
            connection.execute(batch)
        connection.commit()


def program(*arguments):
    def run(server, database, path):
        values = vars(server) | {"database": database, "path": path}
        with tempfile.NamedTemporaryFile("w", suffix=".conf") as config:
            config.write(f"[server]\nhost = {server.host}\nport = {server.port}\ntds version = 7.4\n")
            config.flush()
            with path.open("rb") as script:
                subprocess.run([argument.format(**values) for argument in arguments], stdin=script,
                               env=os.environ | {"FREETDSCONF": config.name},
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=600, check=False)
    return run


def clients():
    """Name, function that runs a script, and whether the client is installed."""
    login = ("-U", "{user}", "-P", "{password}")
    sqlcmd = ("sqlcmd", "-S", "tcp:{host},{port}", "-d", "{database}", *login, "-C", "-i", "{path}")
    there = {name: bool(shutil.which(name)) for name in ("tsql", "bsqldb", "sqlcmd")}
    yield "pymssql, stopping at an error", pymssql_client(goes_on=False), True
    yield "pymssql, going on after an error", pymssql_client(goes_on=True), True
    yield "pyodbc over FreeTDS", pyodbc_client, ODBC_DRIVER is not None
    yield "tsql", program("tsql", "-S", "server", "-D", "{database}", *login), there["tsql"]
    yield "bsqldb", program("bsqldb", "-S", "server", "-D", "{database}", *login, "-i", "{path}"), there["bsqldb"]
    yield "sqlcmd", program(*sqlcmd), there["sqlcmd"]
    yield "sqlcmd -b", program(*sqlcmd, "-b"), there["sqlcmd"]


def printed_script(sendport, server):
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder, "sendport.toml")
        config.write_text("[database]\nconnection = "
                          f'"Server=tcp:{server.host},{server.port};Database=d;User Id=u;Password=p"\n')
        command = [sendport, "--config", config, "migrate", "--print"]
        return subprocess.run(command, check=True, capture_output=True, encoding="utf-8").stdout


def planted(script, failing):
    whole = batches(script)
    # The table and its guard.
    at = next(i for i, batch in enumerate(whole) if PLANTED_BEHIND in batch) + 2
    guard = whole[at - 1]
    return "\nGO\n".join([*whole[:at], failing, guard, *whole[at:], ""])


def objects_after(server, run, script):
    """The number of objects in the schema after the script; None where there is no schema."""
    database = f"sendport_test_{uuid.uuid4().hex}"
    server.ask("master", f"CREATE DATABASE {database}")
    try:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "sendport.sql")
            path.write_text(script, encoding="utf-8")
            run(server, database, path)
        found = "SELECT SCHEMA_ID(N'sendport'), COUNT(*) FROM sys.objects WHERE schema_id = SCHEMA_ID(N'sendport')"
        [(schema, count)] = server.ask(database, found)
        return None if schema is None else count
    finally:
        server.ask("master", f"DROP DATABASE {database}")


def check(server, name, run, script):
    """Prints each run with another result; returns their number."""
    wrong = 0
    if not objects_after(server, run, script):
        print(f"{name}: the script creates no schema")
        wrong += 1
    for what, failing in FAILING.items():
        count = objects_after(server, run, planted(script, failing))
        if count is not None:
            print(f"{name}: after a {what} the schema is there, with {count} objects")
            wrong += 1
    print(f"{name}: {1 + len(FAILING)} scripts run, {wrong} wrong", flush=True)
    return wrong


def main():
    args = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    args.add_argument("--tools", type=Path, required=True, metavar="FOLDER", help="what setup.sh made")
    args.add_argument("--sendport", type=Path, required=True, metavar="FILE", help="the program")
    args = args.parse_args()
    start_in_venv(args.tools.resolve())
    server = Server(os.environ["SENDPORT_TEST_SQLSERVER"])
    script = printed_script(args.sendport, server)
    wrong = 0
    for name, run, is_installed in clients():
        if is_installed:
            wrong += check(server, name, run, script)
        else:
            print(f"{name}: not installed, not run")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
