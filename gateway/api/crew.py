"""Several workers of one server, as the routes see them: whichever of them is asked, the answer is about all."""

from typing import Protocol


class Crew(Protocol):
    """All workers together; the composition root makes one where there are several."""

    async def metrics_page(self) -> bytes:
        """The page of /metrics over all workers, and over those that were."""

    async def readiness(self) -> tuple[int, bytes]:
        """Status and body of /health/ready over all workers."""
