"""The admin API on the gateway under test, and operators of every role with a token each."""

from dataclasses import dataclass
from itertools import count

import httpx
import pytest

from gateway.services.access import operator_tokens, operators
from gateway.services.register import models, tenants
from gateway.services.register.audit import list_events

PREFIX = "/admin/api/v1"
PASSWORD = "long enough for tests"
NUMBERS = count()


@dataclass
class Program:
    """Something that acts for an operator."""

    client: httpx.Client
    operator: str
    token_id: str
    token: str

    def ask(self, method, path, body=None, *, match=None, **options):
        headers = {"authorization": f"Bearer {self.token}"} if self.token else {}
        if match is not None:
            headers["if-match"] = match
        if body is not None:
            options["json"] = body
        return self.client.request(method, PREFIX + path, headers=headers | options.pop("headers", {}), **options)

    def get(self, path, **options):
        return self.ask("GET", path, **options)

    def make(self, path, body):
        reply = self.ask("POST", path, body)
        assert reply.status_code == 201, reply.text
        return reply.json()


@pytest.fixture(scope="package")
def client(running):
    """One connection for all programs: to make one costs more than most requests."""
    with httpx.Client(base_url=running.url, timeout=30) as made:
        yield made


@pytest.fixture(scope="package")
def program(running, client):
    """A program for a new operator of a role, on one tenant or all."""

    def made(role, tenant=None, *, read_only=False):
        name = f"{role}-{next(NUMBERS)}"
        running.change(operators.create_operator, name, role=role, tenant=tenant, password=PASSWORD)
        token = running.change(operator_tokens.create_token, name, read_only=read_only)
        return Program(client, name, token.id, token.token)

    return made


@pytest.fixture(scope="package")
def admin(program):
    """A program that may do everything."""
    return program("admin")


@pytest.fixture(scope="module", autouse=True)
def _own_models_only(running):
    """What these tests register is gone for those behind them."""

    async def registered():
        async with running.services.database.reading() as session:
            return {model.id for model in await models.list_models(session)}

    before = running.run(registered())
    yield
    for model in running.run(registered()) - before:
        running.change(models.remove_model, model)


@pytest.fixture
def tenant(running):
    """The id of a new tenant."""
    return running.change(tenants.create_tenant, f"customer-{next(NUMBERS)}").id


@pytest.fixture
def newest_event(running):
    """The last entry of the audit log."""

    async def read():
        async with running.services.database.reading() as session:
            return (await list_events(session, limit=1))[0]

    return lambda: running.run(read())
