"""What each role of operators may do: the same for the admin API and the console."""

from collections.abc import Mapping
from typing import Literal

from gateway.services.access.operators import Role

Right = Literal["fleet.look", "fleet.change", "tenant.look", "tenant.change", "own.look"]
"""`tenant.…` is what happens inside of one tenant, `own.look` what every operator may know."""

LOOKS: frozenset[Right] = frozenset({"fleet.look", "tenant.look", "own.look"})
RIGHTS: Mapping[Role, frozenset[Right]] = {
    "admin": LOOKS | {"fleet.change", "tenant.change"},
    "viewer": LOOKS,
    "tenant_admin": frozenset({"tenant.look", "tenant.change", "own.look"}),
}
