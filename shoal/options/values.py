"""What options say, read: sizes, addresses, networks, nodes by pool. What can not be read is told with what can."""

import re
from pathlib import Path
from urllib.parse import unquote

import typer

from gateway.errors import StorageUnusable
from gateway.redis_address import RedisAddress, RedisAddressInvalid
from gateway.services.access.callers import networks
from gateway.services.bulk.s3_storage import S3Address
from gateway.services.pools.discovery import Service
from gateway.settings import POOL_PATIENCE, sqlite_url

UNITS = {"": 1, "B": 1}
for power, prefix in enumerate("KMGT", 1):
    UNITS |= {f"{prefix}B": 1000**power, f"{prefix}IB": 1024**power}
SIZE = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*([A-Z]*)", re.IGNORECASE)
DEFAULT_POOL = "default"
SHORTEST_SESSION_KEY = 32


def parse_bytes(text: str | int) -> int:
    """`4GiB`, `500MiB`, `1.5GB` or a plain number of bytes."""
    match = SIZE.fullmatch(str(text).strip())
    unit = UNITS.get(match[2].upper()) if match else None
    if match is None or unit is None:
        raise typer.BadParameter(f"{text!r} is no size; write it like 4GiB or 500MiB.")
    size = int(float(match[1]) * unit)
    if size < 1:
        raise typer.BadParameter("the size must be more than nothing.")
    return size


def parse_host_budget(text: str | int) -> int:
    """A size as of `parse_bytes`, or 0 for none."""
    return 0 if str(text).strip() == "0" else parse_bytes(text)


def parse_nodes(texts: list[str]) -> dict[str, tuple[str, ...]]:
    """Where engine nodes are, by pool, from `URL` (the default pool) or `POOL=URL`.

    A URL is the base URL of one node, or `dns+http://name:port` for every address of a name.
    """
    pools: dict[str, tuple[str, ...]] = {}
    for text in texts:
        pool, separator, url = text.partition("=")
        if not separator or "://" in pool:
            pool, url = DEFAULT_POOL, text
        if re.fullmatch(r"https?://[^\s/?#]+/?", url) is None and Service.parse(url) is None:
            raise typer.BadParameter(
                f"{text!r} is no address of a node; write it like http://10.0.0.7:9000 or POOL=http://…, "
                "or dns+http://name:9000 for all addresses of a name."
            )
        pools[pool] = (*pools.get(pool, ()), url.rstrip("/"))
    return pools


def parse_pool_patience(texts: list[str]) -> tuple[float, dict[str, float]]:
    """Seconds for all pools, from `SECONDS`, and for single ones, from `POOL=SECONDS`."""
    of_all, of_pools = POOL_PATIENCE, {}
    for text in texts:
        pool, separator, seconds = text.rpartition("=")
        if re.fullmatch(r"[0-9]+(\.[0-9]+)?", seconds) is None or (separator and not pool):
            raise typer.BadParameter(f"{text!r} is no time; write it in seconds, like 30 or POOL=30.")
        if pool:
            of_pools[pool] = float(seconds)
        else:
            of_all = float(seconds)
    return of_all, of_pools


def parse_public_url(text: str) -> str:
    """The address of the console as browsers see it: scheme and host, and a port where it needs one."""
    if re.fullmatch(r"https?://[^\s/?#@]+/?", text) is None:
        raise typer.BadParameter(f"{text!r} is no address; write it like https://shoal.example.org.")
    return text.rstrip("/")


def parse_network(text: str) -> str:
    """A network, or one address."""
    try:
        networks([text])
    except ValueError:
        raise typer.BadParameter(f"{text!r} is no network; write it like 10.0.0.0/8 or 10.0.0.7.") from None
    return text


def parse_session_key(text: str) -> str:
    """A secret that nobody can guess."""
    if len(text) < SHORTEST_SESSION_KEY:
        raise typer.BadParameter(f"it has {len(text)} characters; {SHORTEST_SESSION_KEY} random ones are needed.")
    return text


def checked_redis_url(url: str | None) -> str | None:
    """The same, if it is the address of a Redis."""
    if url is not None:
        try:
            RedisAddress.parse(url)
        except RedisAddressInvalid as error:
            raise typer.BadParameter(str(error)) from None
    return url


def checked_files(where: str | None) -> str | None:
    """The same, if a bucket's address can be read."""
    if where is not None and "://" in where:
        try:
            S3Address.parse(where)
        except StorageUnusable as error:
            raise typer.BadParameter(error.message) from None
    return where


def files_at(data_dir: Path, files: str | None) -> str:
    """Where files are kept that the two options name together."""
    return files or str(data_dir / "files")


def checked_endpoint(url: str | None) -> str | None:
    """The same, if a collector may have it."""
    if url is not None and re.fullmatch(r"https?://[^\s/?#@]+(/[^\s?#]*)?", url) is None:
        raise typer.BadParameter(f"{url!r} is no address of a collector; write it like http://collector:4318.")
    return url


def parse_headers(text: str) -> dict[str, str]:
    """`name=value,name=value`, the values percent-encoded, as OpenTelemetry writes them."""
    headers = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        name, separator, value = part.partition("=")
        value = unquote(value.strip())
        if not separator or re.fullmatch(r"[A-Za-z0-9-]+", name.strip()) is None or not value.isprintable():
            raise typer.BadParameter("headers are written like authorization=Bearer%20abc,x-tenant=shoal.")
        headers[name.strip().lower()] = value
    return headers


def database_at(data_dir: Path, database_url: str | None) -> str:
    """The database that the two options name together."""
    return database_url or sqlite_url(data_dir)


def spool_at(data_dir: Path, usage_spool: Path | None) -> Path:
    """The folder in which usage waits that the two options name together."""
    return usage_spool or data_dir / "usage"
