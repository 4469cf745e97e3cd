"""Whoever has a copy of the database has no key: nothing in any table opens anything."""

import base64
import contextlib
import json
from collections.abc import Iterator

import httpx
import pytest

from gateway.auth import authenticate
from gateway.errors import AuthenticationFailed
from gateway.services.access import operator_tokens, operators
from gateway.services.access.operator_tokens import verify_token
from gateway.services.access.operators import verify_operator

PASSWORD = "a password of this test alone"


@pytest.fixture(scope="module")
def victim(running):
    """A tenant's key, and an operator with a token; all were used."""
    caller = running.caller()
    assert running.embed(caller, {"input": "x"}).status_code == 200
    running.change(operators.create_operator, "victim", password=PASSWORD)
    token = running.change(operator_tokens.create_token, "victim")
    headers = {"authorization": f"Bearer {token.token}"}
    assert running.request("GET", "/admin/api/v1/self", headers=headers).status_code == 200
    return caller, token


@pytest.fixture(scope="module")
def values(running, victim):
    """Every text that can be made of what the tables hold."""
    found = set()
    tables = running.dump()
    # Those of one key tell as much as those of all that other tests used.
    tables["usage_record"] = [row for row in tables["usage_record"] if row["key_id"] == victim[0].key_id]
    assert all(tables[name] for name in ("tenant", "api_key", "operator", "operator_token", "usage_record"))
    for rows in tables.values():
        for row in rows:
            for value in row.values():
                found |= set(forms(value))
    return found


def forms(value: object) -> Iterator[str]:
    """How a value may be written in a header."""
    match value:
        case bytes():
            yield value.decode("latin-1")
            for text in (value.hex(), value.hex().upper(), base64.b64encode(value).decode()):
                yield text
                yield text.rstrip("=")
            yield base64.urlsafe_b64encode(value).decode()
            yield base64.urlsafe_b64encode(value).decode().rstrip("=")
            yield repr(value)
        case str() if value.startswith(("[", "{")):
            yield value
            with contextlib.suppress(json.JSONDecodeError):  # what callers wrote may only look like it
                yield from forms(json.loads(value))
        case dict() | list():
            for part in value.values() if isinstance(value, dict) else value:
                yield from forms(part)
        case None | True | False:
            return
        case _:
            yield str(value)


def test_the_copy_has_the_hashes_and_no_secret(values, victim):
    caller, token = victim
    stored = "\n".join(values)
    assert caller.key_id in values
    assert token.id in values
    assert any(value.startswith("$argon2id$") for value in values)
    for secret in (caller.key[-43:], token.token[-43:], PASSWORD):
        assert secret not in stored
        assert secret.encode().hex() not in stored
        assert base64.b64encode(secret.encode()).decode().rstrip("=") not in stored


def credentials(prefix: str, id_: str, values: set[str]) -> Iterator[str]:
    """Everything that a thief would send."""
    yield from (id_, f"{prefix}-{id_}", f"{prefix}-{id_}-", f"{prefix}-{id_}-***", f"{prefix}-{id_}-…")
    for value in values:
        yield value
        yield f"{prefix}-{value}"
        yield f"{prefix}-{id_}-{value}"
        yield f"{prefix}-{id_}-{value[:43]}"
        yield f"{prefix}-{id_}-{value:A<43}"


def test_nothing_in_the_copy_opens_the_wires(running, victim, values):
    caller, _ = victim
    snapshot = running.services.feed.current
    assert authenticate({b"x-api-key": caller.key.encode()}, snapshot).id == caller.key_id
    well_formed = 0
    for tried in credentials("sk-shoal", caller.key_id, values):
        well_formed += len(tried) == len(caller.key)
        with pytest.raises(AuthenticationFailed):
            authenticate({b"x-api-key": tried.encode("utf-8", "replace")}, snapshot)
    assert well_formed > len(values)


def test_nothing_in_the_copy_opens_the_admin_api(running, victim, values):
    _, token = victim

    async def tried():
        async with running.services.database.reading() as session:
            assert await verify_token(session, token.token) is not None
            return [
                text
                for text in credentials("op-shoal", token.id, values)
                if await verify_token(session, text) is not None
            ]

    assert running.run(tried(), timeout=60) == []


def test_over_the_wire_neither(running, victim):
    caller, token = victim
    rows = running.dump()
    [of_key] = [row["secret_sha256"] for row in rows["api_key"] if row["id"] == caller.key_id]
    [of_token] = [row["secret_sha256"] for row in rows["operator_token"] if row["id"] == token.id]
    for prefix, id_, kept, path in (
        ("sk-shoal", caller.key_id, of_key, "/v1/models"),
        ("op-shoal", token.id, of_token, "/admin/api/v1/self"),
    ):
        for text in set(forms(kept)):
            for tried in (text, f"{prefix}-{id_}-{text}"):
                if text.isprintable():
                    headers = {b"authorization": b"Bearer " + tried.encode("latin-1")}
                    assert httpx.get(running.url + path, headers=headers).status_code == 401


def test_a_passwords_hash_is_no_password(running, victim):
    [kept] = [row["password_hash"] for row in running.dump()["operator"] if row["name"] == "victim"]
    parts = kept.split("$")

    async def tried():
        async with running.services.database.reading() as session:
            assert await verify_operator(session, "victim", PASSWORD) is not None
            guesses = (kept, parts[-1], parts[-2])
            return [guess for guess in guesses if await verify_operator(session, "victim", guess) is not None]

    assert running.run(tried()) == []
