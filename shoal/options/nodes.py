"""How engine nodes are reached: the same options wherever a command or a gateway calls them."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from gateway.certificates import CertificateFiles
from shoal.options.values import parse_nodes

Nodes = Annotated[
    list[str] | None,
    typer.Option(
        "--node",
        envvar="SHOAL_NODES",
        metavar="[POOL=]URL",
        help="An engine node, or dns+http://name:port for all addresses of a name; several by repeating it.",
    ),
]
EngineSecret = Annotated[
    str,
    typer.Option(
        "--engine-secret", envvar="SHOAL_ENGINE_SECRET", help="What gateways and engine nodes know each other by."
    ),
]
EngineCa = Annotated[
    Path | None,
    typer.Option(
        "--engine-ca",
        envvar="SHOAL_ENGINE_CA",
        exists=True,
        dir_okay=False,
        metavar="FILE",
        help="Authority of the certificates that https:// nodes show.",
    ),
]
EngineCert = Annotated[
    Path | None,
    typer.Option(
        "--engine-cert",
        envvar="SHOAL_ENGINE_CERT",
        exists=True,
        dir_okay=False,
        metavar="FILE",
        help="Certificate to show to nodes that ask for one.",
    ),
]
EngineKey = Annotated[
    Path | None,
    typer.Option(
        "--engine-key", envvar="SHOAL_ENGINE_KEY", exists=True, dir_okay=False, metavar="FILE", help="Its key."
    ),
]


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class NodeOptions:
    """As they were typed; some are secrets, so that it has no text of its own."""

    node: Nodes = None
    engine_secret: EngineSecret = ""
    engine_ca: EngineCa = None
    engine_cert: EngineCert = None
    engine_key: EngineKey = None

    @property
    def pools(self) -> dict[str, tuple[str, ...]]:
        """Where the nodes are, by pool. Raises BadParameter."""
        return parse_nodes(self.node or [])

    @property
    def certificates(self) -> CertificateFiles:
        """What nodes are shown, and whom we believe to be one. Raises BadParameter."""
        if self.engine_key is not None and self.engine_cert is None:
            raise typer.BadParameter(
                "it is the key of a certificate: give --engine-cert too.", param_hint="--engine-key"
            )
        return CertificateFiles(certificate=self.engine_cert, key=self.engine_key, trusted=self.engine_ca)
