"""Options of an engine node: its device, its memory, and who gets how much of it."""

from typing import Annotated

import typer

from engine.settings import Eviction
from shoal.options.values import parse_bytes, parse_host_budget

Device = Annotated[
    str, typer.Option("--device", envvar="SHOAL_DEVICE", metavar="auto|cpu|cuda:N", help="What runs the models.")
]
Threads = Annotated[
    int | None,
    typer.Option(
        "--threads", envvar="SHOAL_THREADS", min=1, help="Threads of one computation on the CPU; else torch's choice."
    ),
]
MemoryBudget = Annotated[
    int | None,
    typer.Option(
        "--memory-budget",
        envvar="SHOAL_MEMORY_BUDGET",
        parser=parse_bytes,
        metavar="SIZE",
        help="Bytes that models may take, such as 4GiB; without it, 80 % of what is free at the start.",
    ),
]
HostBudget = Annotated[
    int | None,
    typer.Option(
        "--host-budget",
        envvar="SHOAL_HOST_BUDGET",
        parser=parse_host_budget,
        metavar="SIZE",
        help="Bytes of host memory for models that left the device, to come back quickly; 0: none.",
    ),
]
IdleTimeout = Annotated[
    float | None,
    typer.Option(
        "--idle-timeout",
        envvar="SHOAL_IDLE_TIMEOUT",
        min=0.001,
        metavar="SECONDS",
        help="Unload models that nobody used for so long; without it, only when others need the room.",
    ),
]
LoadTimeout = Annotated[
    float,
    typer.Option(
        "--load-timeout",
        envvar="SHOAL_LOAD_TIMEOUT",
        min=0.001,
        metavar="SECONDS",
        help="Give up a load, download included, that takes longer.",
    ),
]
EvictionOrder = Annotated[
    Eviction,
    typer.Option(
        "--eviction",
        envvar="SHOAL_EVICTION",
        help="Who makes room: the least recently used model, or the one that is used least for its size and load time.",
    ),
]
BulkShare = Annotated[
    float,
    typer.Option(
        "--bulk-share",
        envvar="SHOAL_BULK_SHARE",
        min=0.01,
        max=0.9,
        help="Of the device, for the bulk lane while interactive requests could take it all.",
    ),
]
