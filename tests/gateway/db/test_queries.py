"""Rules that types can not hold, kept by reading the source."""

import ast
from collections.abc import Iterator
from pathlib import Path

from gateway.db import queries
from gateway.db.tables import Row

HOUSE = Path(queries.__file__).parents[2]
TENANTS_OWN = {
    mapper.class_.__name__
    for mapper in Row._sa_registry.mappers
    for column in mapper.local_table.columns
    if column.name == "tenant_id" and not column.nullable
}
TENANTS_QUERIES = [
    Path(queries.__file__).with_name(name)
    for name in ("queries.py", "usage_queries.py", "budget_rows.py", "bulk_queries.py")
]
WITHOUT_TENANT = {"tenant_of_key", "tenants_with_alias_of", "tenants_with_usage"}
"""These say which tenants, and nothing of them: whose key, whose name for a model, who has usage."""
OF_NO_TENANT = Path(queries.__file__).with_name("console_rows.py")
"""Its rows belong to no tenant, so there is none to ask for."""


def functions(path: Path) -> list[ast.AsyncFunctionDef]:
    return [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.AsyncFunctionDef)]


def test_every_query_on_a_tenants_rows_takes_and_uses_the_tenant() -> None:
    assert {"ApiKey", "ModelGrant", "QuotaRule", "UsageRecord", "UsageHour"} <= TENANTS_OWN
    checked = 0
    for function in [function for path in TENANTS_QUERIES for function in functions(path)]:
        names = [node.id for statement in function.body for node in ast.walk(statement) if isinstance(node, ast.Name)]
        if TENANTS_OWN.isdisjoint(names) or function.name in WITHOUT_TENANT:
            continue
        checked += 1
        assert "tenant_id" in [argument.arg for argument in function.args.args], f"{function.name} takes no tenant"
        assert "tenant_id" in names, f"{function.name} ignores the tenant"
    assert checked >= 6


def test_nothing_selects_outside_of_the_queries() -> None:
    others = (
        "policy_rows.py",
        "console_rows.py",
        "minute_rows.py",
        "fleet_queries.py",
        "fleet_usage.py",
        "recount.py",
        "bulk_rows.py",
    )
    allowed = {*TENANTS_QUERIES, *(Path(queries.__file__).with_name(name) for name in others)}
    for package in ("gateway", "admin_ui", "shoal"):
        for path in (HOUSE / package).rglob("*.py"):
            calls = [node.func for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]
            selects = [call for call in calls if isinstance(call, ast.Name) and call.id == "select"]
            assert not selects or path in allowed, f"{path} selects for itself"


def test_what_asks_without_a_tenant_knows_no_rows_of_tenants() -> None:
    of_some = {
        mapper.class_.__name__
        for mapper in Row._sa_registry.mappers
        if "tenant_id" in mapper.local_table.columns or mapper.local_table.name == "tenant"
    }
    assert of_some > TENANTS_OWN
    names = {node.id for node in ast.walk(ast.parse(OF_NO_TENANT.read_text())) if isinstance(node, ast.Name)}
    assert of_some.isdisjoint(names)


RAW_SQL = {"exec_driver_sql", "execute", "text", "literal_column"}
"""What takes SQL as text."""
PATTERNS = {"like", "ilike", "not_like", "not_ilike", "regexp_match", "icontains", "istartswith", "iendswith"}
"""What would make `%` and `_` in a name mean something."""
ON_COLUMNS = {"contains", "startswith", "endswith", "match"}
"""The same, where it is asked of a column."""


def calls() -> Iterator[tuple[Path, str, ast.Call]]:
    for package in ("gateway", "admin_ui", "shoal"):
        for path in (HOUSE / package).rglob("*.py"):
            if "migrations" in path.parts:
                continue
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Call):
                    name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
                    yield path, name, node


def test_no_sql_is_put_together_from_texts() -> None:
    checked = 0
    for path, name, call in calls():
        if name in RAW_SQL and call.args:
            checked += 1
            put_together = [node for node in ast.walk(call.args[0]) if isinstance(node, ast.JoinedStr | ast.Mod)]
            formatted = [
                node for node in ast.walk(call.args[0]) if isinstance(node, ast.Attribute) and node.attr == "format"
            ]
            assert not put_together, f"{path}:{call.lineno} puts SQL together"
            assert not formatted, f"{path}:{call.lineno} puts SQL together"
    assert checked > 20


def test_no_name_is_looked_for_by_a_pattern() -> None:
    for path, name, call in calls():
        escaped = any(given.arg == "autoescape" for given in call.keywords)
        assert name not in PATTERNS or escaped, f"{path}:{call.lineno}: escape the pattern, and say so here"
        if name in ON_COLUMNS and isinstance(call.func, ast.Attribute):
            on = call.func.value
            is_column = isinstance(on, ast.Call) and isinstance(on.func, ast.Name) and on.func.id == "col"
            assert not is_column, f"{path}:{call.lineno}: escape the pattern, and say so here"
