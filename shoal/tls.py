"""TLS at a door of ours, with certificates that are renewed while it is open."""

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from gateway.certificates import LOOK_INTERVAL, CertificateFiles, Certificates
from gateway.services.periodic import Periodic
from shoal.failures import StartFailure


@asynccontextmanager
async def door_tls(files: CertificateFiles) -> AsyncIterator[ssl.SSLContext | None]:
    """What callers meet, for the length of the block; None without a certificate. Raises CertificatesUnusable."""
    if files.certificate is None:
        if files.key is not None or files.trusted is not None:
            raise StartFailure("TLS needs a certificate to show: --tls-cert, and --tls-key unless it holds its key.")
        yield None
        return
    certificates = Certificates.of_server(files)
    renewing = Periodic(certificates.renew, LOOK_INTERVAL, "certificates")
    try:
        yield certificates.context
    finally:
        await renewing.close()
