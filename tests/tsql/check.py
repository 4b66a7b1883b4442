#!/usr/bin/env python3
"""Parses the schema and the statements for SQL Server with Microsoft's own parser, as SQL Server 2017 and 2019 do, and
resolves every name in a model of the schema after all migrations, with the collations of several databases.

    tests/tsql/check.py --tools target/tsql        # the folder of setup.sh; --syntax skips the models

Prints file:line of each error, and exits with 1 if there is one, or if it does not find an error that it plants itself.
Nothing is executed: locks, plans, permissions and lengths are not checked. Each @P1 is a text to the models.
"""
import argparse
import itertools
import os
import re
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
STORE = ROOT / "crates/sendport-store/src/sqlserver"
VERSIONS = ("140", "150")
# Version, collation, and whether it distinguishes alertid from AlertId.
MODELS = (
    ("Sql140", "SQL_Latin1_General_CP1_CI_AS", False),
    ("Sql150", "Latin1_General_100_CS_AS", True),
    ("Sql150", "Turkish_CI_AS", True),
    ("SqlAzure", "SQL_Latin1_General_CP1_CI_AS", False),
)
# Objects of SQL Server itself, which the models lack.
SYSTEM = re.compile(r"\[sp_(getapplock|releaseapplock|executesql)\]|\[sys\]\.\[")
HISTORY = STORE / "sql/history_table.sql"  # precedes the migrations
MIGRATIONS = sorted((ROOT / "migrations/sqlserver").glob("*.sql"))
STATEMENTS = sorted((STORE / "sql").glob("*.sql"))
MSDB = Path(__file__).with_name("msdb.sql")  # what the import of Database Mail reads
PARTS = {path.stem: path.read_text(encoding="utf-8").rstrip() for path in (STORE / "sql/parts").glob("*.sql")}
COLUMNS = STORE.parent / "columns.rs"
# Calls of a procedure under another name, which applications have to change.
CALLS = ROOT / "tests/conformance/database_mail.toml"
FILL = tomllib.loads(Path(__file__).with_name("statements.toml").read_text(encoding="utf-8"))


def load(tools):
    """Starts this program again where .NET Core 3.1 finds OpenSSL 1.1 and ICU, and loads Microsoft's assemblies."""
    if os.environ.get("SENDPORT_TSQL_TOOLS") != str(tools):
        icu = sorted(Path("/usr/lib").glob("*/libicuuc.so.*.*"))
        if not icu or not (tools / "runtimeconfig.json").exists():
            sys.exit(f"{tools} is not ready: run tests/tsql/setup.sh {tools}")
        env = os.environ | {
            "SENDPORT_TSQL_TOOLS": str(tools),
            "LD_LIBRARY_PATH": str(tools / "openssl"),
            # No debugger sockets in /tmp.
            "COMPlus_EnableDiagnostics": "0",
            "CLR_ICU_VERSION_OVERRIDE": icu[-1].name.removeprefix("libicuuc.so."),
        }
        env.pop("DOTNET_SYSTEM_GLOBALIZATION_INVARIANT", None)
        python = str(tools / "venv/bin/python")
        os.execve(python, [python, *sys.argv], env)
    import pythonnet
    runtime = next(tools.glob("venv/lib/python3*/site-packages/dotnetcore2/bin"))
    pythonnet.load("coreclr", runtime_config=str(tools / "runtimeconfig.json"), dotnet_root=str(runtime))
    import clr
    sys.path.append(str(tools / "sqltools"))
    for name in ("TransactSql.ScriptDom", "Dac", "Dac.Extensions"):
        clr.AddReference("Microsoft.SqlServer." + name)
    global ScriptDom, Model, StringReader
    import Microsoft.SqlServer.Dac.Model as Model
    import Microsoft.SqlServer.TransactSql.ScriptDom as ScriptDom
    from System.IO import StringReader


def parse(text, version="150"):
    script, errors = getattr(ScriptDom, f"TSql{version}Parser")(True).Parse(StringReader(text), None)
    return script, list(errors or [])


def columns():
    """The lists of columns.rs: of each, the names, and whether the value is a text that Babelfish spoils."""
    lists = re.findall(r"^    ([A-Z]+) of \w+ \{\n(.*?)^    \}", COLUMNS.read_text(encoding="utf-8"), re.S | re.M)
    return {name: re.findall(r'"(\w+)" =>\s*Source::(\w+)', body) for name, body in lists}


def engine_forms(text):
    """The text as SQL Server and as Babelfish get it: what statement.rs fills in."""
    # A part may name another one.
    for part, body in [*PARTS.items()] * len(PARTS):
        text = text.replace(f"{{{part}}}", body)
    lists = columns()
    lists["RECIPIENT"] = lists["ADDRESSEE"] + lists["DELIVERY"]
    for restored in (lambda it: it, lambda it: f"REPLACE({it} COLLATE Latin1_General_BIN2, NCHAR(57383), N'''')"):
        def value(table, name, kind):
            return restored(f"{table}.{name}") if kind == "Text" else f"{table}.{name}"

        def fill(match):
            name, table = match["list"].upper(), match["table"]
            return ", ".join(value(table, *it) if table else it[0] for it in lists[name])
        form = re.sub(r"\{text ([\w.]+)\}", lambda it: restored(it[1]), text)
        form = form.replace("{delivery = n}", ", ".join(f"{n} = " + value("n", n, k) for n, k in lists["DELIVERY"]))
        yield re.sub(r"\{(?:(?P<table>\w+)\.)?(?P<list>attempt|reply|recipient)\}", fill, form)


def shapes(path):
    """The text with its placeholders filled, once for each shape and engine."""
    for text in forms(path):
        yield from filled(path, text)


def forms(path):
    """The text for SQL Server, and where it differs, for Babelfish."""
    return dict.fromkeys(engine_forms(path.read_text(encoding="utf-8")))


def filled(path, text):
    names = list(dict.fromkeys(re.findall(r"\{([a-z_]+)\}", text)))
    fills = [FILL.get(f"{path.stem}.{name}", FILL.get(name)) for name in names]
    if None in fills:
        sys.exit(f"{path.relative_to(ROOT)}: tests/tsql/statements.toml has nothing for {{{names[fills.index(None)]}}}")
    for values in itertools.product(*fills):
        shape = text
        for name, value in zip(names, values):
            if not value:
                shape = re.sub(rf"(?m)^(?!--).*\{{{name}\}}.*$", "", shape)
            shape = shape.replace(f"{{{name}}}", value)
        yield shape


def with_nulls(text):
    """The text, and the text with NULL for each of @P1, @P2, ... and for all of them, as the program sends it."""
    yield text
    numbers = sorted(set(re.findall(r"@P(\d+)", text)), key=int)
    for number in numbers + [r"\d+"] * (len(numbers) > 1):
        yield re.sub(rf"@P{number}\b", "NULL", text)


def text_of(part):
    return "".join(part.ScriptTokenStream[i].Text for i in range(part.FirstTokenIndex, part.LastTokenIndex + 1))


def strings_of(statement):
    """The text that EXEC (N'...') executes; None for every other statement."""
    run = getattr(getattr(statement, "ExecuteSpecification", None), "ExecutableEntity", None)
    parts = [getattr(part, "Value", None) for part in getattr(run, "Strings", None) or [None]]
    return None if None in parts else "".join(parts)


def statements_of(script):
    """Every statement, also those within IF and BEGIN."""
    todo = [s for batch in script.Batches for s in batch.Statements]
    while todo:
        statement = todo.pop()
        yield statement
        todo += [s for s in (getattr(statement, n, None) for n in ("ThenStatement", "ElseStatement")) if s]
        if statement.GetType().Name == "BeginEndBlockStatement":
            todo += list(statement.StatementList.Statements)


def calls():
    for call in tomllib.loads(CALLS.read_text(encoding="utf-8"))["call"]:
        yield call["sql"].replace("msdb.dbo.sp_send_dbmail", "sendport.sp_send_dbmail")


def separators(text):
    """Position and text of the separator of each STRING_AGG."""
    for call in re.finditer(r"STRING_AGG\(", text):
        depth, quoted, comma = 1, False, None
        for at in range(call.end(), len(text)):
            quoted ^= text[at] == "'"
            depth += 0 if quoted else {"(": 1, ")": -1}.get(text[at], 0)
            if depth == 0:
                yield call.start(), text[comma + 1:at].strip()
                break
            if depth == 1 and not quoted and text[at] == ",":
                comma = at


def errors_in(text, version):
    """Line and message of each error; errors within EXEC (N'...') have the line of the EXEC."""
    script, errors = parse(text, version)
    found = [(e.Line, e.Message) for e in errors]
    # Error 8733, which the parser does not know.
    for at, separator in separators(text):
        if not re.fullmatch(r"N?'+[^']*'+|@\w+", separator):
            found.append((text.count("\n", 0, at) + 1, f"STRING_AGG: {separator} is no literal and no variable"))
    for statement in statements_of(script) if script and not errors else ():
        for e in parse(strings_of(statement) or "", version)[1]:
            found.append((statement.StartLine, f"in EXEC: {e.Message}"))
    return found


def check_syntax():
    planted = ("SELECT 1;\nSELECT FROM WHERE;", "SELECT 1;\nIF 1 = 1 EXEC (N'SELECT FROM');",
               "SELECT 1;\nSELECT STRING_AGG(CONCAT(x, N', )'), CASE x WHEN 1 THEN N',' END) FROM y;")
    if any([line for line, _ in errors_in(text, v)] != [2] for text in planted for v in VERSIONS):
        sys.exit("self-check failed: the parser does not find a planted error in line 2")
    parsed, found = 0, set()
    for path in [MSDB, *MIGRATIONS, *STATEMENTS]:
        for version, text in itertools.product(VERSIONS, itertools.chain(*map(with_nulls, shapes(path)))):
            parsed += 1
            found |= {(path.relative_to(ROOT), line, what) for line, what in errors_in(text, version)}
    for version, text in itertools.product(VERSIONS, calls()):
        parsed += 1
        found |= {(CALLS.relative_to(ROOT), line, f"{what} in {text}") for line, what in errors_in(text, version)}
    for path, line, what in sorted(found):
        print(f"{path}:{line}: {what}")
    print(f"{parsed} texts parsed, {len(found)} errors", flush=True)
    return len(found)


def name_of(name):
    return ".".join(i.Value for i in name.Identifiers) if hasattr(name, "Identifiers") else name.Value


def name_made(s):
    """The name of the object that a CREATE statement makes."""
    if hasattr(s, "ProcedureReference"):
        return s.ProcedureReference.Name
    return s.SchemaObjectName if hasattr(s, "SchemaObjectName") else s.Name


def replay(text, objects):
    script, errors = parse(text)
    if errors:
        sys.exit(f"a migration cannot be parsed: {errors[0].Message} in\n{text[:200]}")
    for batch in script.Batches:
        for statement in batch.Statements:
            apply(statement, objects)


def apply(s, objects):
    """Applies a statement of a migration to the objects, {(kind, name): statement}, as SQL Server does."""
    kind = s.GetType().Name.removesuffix("Statement")
    if kind == "If":
        on_babelfish = re.search("Babelfish.* IS NOT NULL", text_of(s.Predicate))
        if branch := s.ElseStatement if on_babelfish else s.ThenStatement:
            apply(branch, objects)
    elif kind == "BeginEndBlock":
        for inner in s.StatementList.Statements:
            apply(inner, objects)
    elif kind == "Execute" and strings_of(s) is not None:
        replay(strings_of(s), objects)
    elif kind == "Execute" and "sp_tableoption" in text_of(s):
        pass
    elif kind == "AlterTableAddTableElement":
        table = objects["CreateTable", name_of(s.SchemaObjectName)].Definition
        for part in ("ColumnDefinitions", "TableConstraints"):
            for new in list(getattr(s.Definition, part)):
                getattr(table, part).Add(new)
    elif kind in ("Grant", "Deny", "AlterRole"):
        objects[kind, text_of(s)] = s
    elif kind.startswith("Create") and not kind.startswith("CreateOrAlter"):
        objects[kind, name_of(name_made(s))] = s
    elif kind.startswith("Drop"):
        drop(s, kind, objects)
    elif kind != "PredicateSet":
        sys.exit(f"apply() in check.py does not know this statement of a migration yet: {text_of(s)[:200]}")


def drop(s, kind, objects):
    """Permissions on an object are dropped with it."""
    gone = [c.Index for c in s.DropIndexClauses] if kind == "DropIndex" else getattr(s, "Objects", None) or [s.Name]
    gone = [name_of(name) for name in gone]
    for key, made in list(objects.items()):
        on = made.SecurityTargetObject.ObjectName.MultiPartIdentifier if key[0] in ("Grant", "Deny") else None
        if key[1] in gone or on and name_of(on) in gone:
            del objects[key]


def parameters():
    """The named parameters that the Rust sources declare, by statement."""
    declared = {}
    for path in STORE.glob("*.rs"):
        found = re.findall(r'"@stmt", (?:include_str!\("sql/(\w+)\.sql"\)|(\w+)\.on\(engine\)).*?"@params",\s*"(.*?)"',
                           path.read_text(), re.S)
        declared |= {name or of.lower(): re.sub(r"\\\s+", "", text) for name, of, text in found}
    return declared


def texts():
    """The objects after all migrations, and each statement as a procedure."""
    objects, declared = {}, parameters()
    for path in [MSDB, HISTORY, *MIGRATIONS]:
        replay(path.read_text(encoding="utf-8"), objects)
    write = ScriptDom.Sql150ScriptGenerator(ScriptDom.SqlScriptGeneratorOptions()).GenerateScript
    for (kind, _), statement in objects.items():
        yield write(statement, None) if kind == "CreateTable" else text_of(statement)
    numbered = ", ".join(f"@P{n} nvarchar(4000)" for n in range(1, 100))
    for path in STATEMENTS:
        for form, text in enumerate(forms(path)):
            body, given = list(filled(path, text))[-1], declared.get(path.stem, numbered)
            # A procedure cannot have the several batches of the printed script's frame.
            if path != HISTORY and parse(body)[0].Batches.Count == 1:
                yield f"CREATE PROCEDURE sendport.[{path.name} {form}] {given} AS\nBEGIN\n{body}\nEND"
    for number, text in enumerate(calls()):
        yield f"CREATE PROCEDURE sendport.[call {number}] AS\nBEGIN\n{text}\nEND"
    for column in ("Nope", "alertid"):
        yield f"CREATE PROCEDURE sendport.[planted {column}] AS SELECT {column} FROM sendport.AlertRow"


def check_names(server, collation, case_matters, all_texts):
    """Prints the names that are no object, column or variable; returns their number."""
    options = Model.TSqlModelOptions()
    options.Collation = collation
    model = Model.TSqlModel(getattr(Model.SqlServerVersion, server), options)
    for text in all_texts:
        try:
            model.AddObjects(text)
        except Model.DacModelException as e:
            sys.exit(f"{server}, {collation}: {e.Message} in\n{text[:300]}")
    messages = [m.Message for m in model.Validate() if not SYSTEM.search(m.Message)]
    planted = {m.rpartition("[")[2] for m in messages if "[planted " in m}
    if planted != ({"Nope].", "alertid]."} if case_matters else {"Nope]."}):
        sys.exit(f"self-check failed: of the planted errors {server}, {collation} finds {planted}")
    unresolved = [m for m in messages if "[planted " not in m]
    print(f"{server}, {collation}: {len(unresolved)} names unresolved", *unresolved, sep="\n  ", flush=True)
    return len(unresolved)


def main():
    args = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    args.add_argument("--tools", type=Path, required=True, metavar="FOLDER", help="the folder of setup.sh")
    args.add_argument("--syntax", action="store_true", help="skip the models")
    args = args.parse_args()
    load(args.tools.resolve())
    bad = check_syntax()
    if not args.syntax and not bad:
        all_texts = list(texts())
        bad = sum(check_names(*model, all_texts) for model in MODELS)
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()
