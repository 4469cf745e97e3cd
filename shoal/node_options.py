"""How engine nodes are reached: the same options wherever a command or a gateway calls them."""

from dataclasses import dataclass

import typer

from gateway.certificates import CertificateFiles
from shoal.option_values import parse_nodes
from shoal.options import EngineCa, EngineCert, EngineKey, EngineSecret, Nodes


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
