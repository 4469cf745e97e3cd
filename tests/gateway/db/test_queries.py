"""Rules that types can not hold, kept by reading the source."""

import ast
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
    Path(queries.__file__).with_name(name) for name in ("queries.py", "usage_queries.py", "budget_rows.py")
]
WITHOUT_TENANT = {"tenant_of_key", "tenants_with_alias_of", "tenants_with_usage"}
"""These say which tenants, and nothing of them: whose key, whose name for a model, who has usage."""


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
    others = ("policy_rows.py", "console_rows.py")
    allowed = {*TENANTS_QUERIES, *(Path(queries.__file__).with_name(name) for name in others)}
    for package in ("gateway", "admin_ui", "shoal"):
        for path in (HOUSE / package).rglob("*.py"):
            calls = [node.func for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]
            selects = [call for call in calls if isinstance(call, ast.Name) and call.id == "select"]
            assert not selects or path in allowed, f"{path} selects for itself"
