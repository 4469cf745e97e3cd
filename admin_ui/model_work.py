"""What pages of models need beside the services: the looks at sources, and the orders to nodes."""

from dataclasses import dataclass

from litestar.di import NamedDependency
from litestar.params import SkipValidation

from admin_ui.inspections import Inspections
from admin_ui.orders import Orders


@dataclass(frozen=True, slots=True)
class ModelWork:
    """What goes on behind the pages."""

    orders: Orders
    inspections: Inspections | None
    """None: nothing here can look at a source; models are registered unseen."""

    async def close(self) -> None:
        """Stop it."""
        await self.orders.close()
        if self.inspections is not None:
            await self.inspections.close()


Working = NamedDependency[SkipValidation[ModelWork]]
"""How a handler asks for it: `work: Working`."""
