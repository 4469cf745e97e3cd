"""Certificates of this process, and whom it believes: TLS contexts from files that somebody else renews.

What is renewed holds for every connection from then on. An authority that is added is believed at once; one that is
taken away is believed until the process ends.
"""

import ssl
from dataclasses import dataclass
from pathlib import Path

import structlog

from gateway.errors import GatewayError

LOOK_INTERVAL = 10.0
"""Seconds between two looks at the files."""

log = structlog.get_logger("shoal.certificates")


class CertificatesUnusable(GatewayError):
    """Files that are not there, or hold no certificate, or do not belong together."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateFiles:
    """In PEM."""

    certificate: Path | None = None
    """With the chain above it; None: we show none."""
    key: Path | None = None
    trusted: Path | None = None
    """Authorities of those we speak with; None: a server asks nobody, a client believes whom this machine does."""

    def stamps(self) -> tuple[tuple[int, int] | None, ...]:
        """What changes when a file does."""
        return tuple(_stamp(path) for path in (self.certificate, self.key, self.trusted))


class Certificates:
    """A TLS context that follows its files, looked at now and then by `renew`."""

    def __init__(self, context: ssl.SSLContext, files: CertificateFiles) -> None:
        self.context = context
        self._files = files
        self._seen = files.stamps()
        self._load()

    @classmethod
    def of_server(cls, files: CertificateFiles) -> "Certificates":
        """Shows its certificate; with `trusted`, takes only callers who show one of theirs.

        Raises CertificatesUnusable.
        """
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        if files.trusted is not None:
            context.verify_mode = ssl.CERT_REQUIRED
        return cls(context, files)

    @classmethod
    def of_client(cls, files: CertificateFiles) -> "Certificates":
        """Believes `trusted` alone, and shows its certificate if it has one. Raises CertificatesUnusable."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        if files.trusted is None:
            context.load_default_certs()
        return cls(context, files)

    async def renew(self) -> None:
        """Read what has changed; where that can not be used, go on with what was there before."""
        stamps = self._files.stamps()
        if stamps == self._seen:
            return
        try:
            self._load()
        except CertificatesUnusable as error:
            log.warning("certificates have changed and can not be used; the old ones stay", why=error.message)
        else:
            log.info("certificates were renewed", certificate=str(self._files.certificate))
            self._seen = stamps

    def _load(self) -> None:
        files = self._files
        try:
            if files.certificate is not None:
                self.context.load_cert_chain(files.certificate, files.key)
            if files.trusted is not None:
                self.context.load_verify_locations(files.trusted)
        except (OSError, ssl.SSLError) as error:
            paths = ", ".join(str(path) for path in (files.certificate, files.key, files.trusted) if path is not None)
            raise CertificatesUnusable(f"These certificates can not be used: {paths}: {error}") from None


def _stamp(path: Path | None) -> tuple[int, int] | None:
    try:
        return None if path is None else (path.stat().st_mtime_ns, path.stat().st_ino)
    except OSError:
        return None
