"""What workers report to their parent, and what it makes of it for callers."""

import msgspec

from gateway.metric_families import Family


class Readiness(msgspec.Struct, frozen=True, array_like=True):
    """What one worker says of /health/ready."""

    status: int
    policies: bool
    pools: dict[str, dict[str, int]]


def metrics_in(content: bytes) -> list[Family]:
    """What a worker answered to `metrics`."""
    return msgspec.msgpack.decode(content, type=list[Family])


def whole_readiness(reports: list[Readiness | None], size: int) -> tuple[int, bytes]:
    """Status and body of /health/ready: ready where somebody takes requests and everybody who does could serve them.

    A worker that is being started again takes none, and so takes nothing from the readiness of the others.
    """
    known = [report for report in reports if report is not None]
    is_ready = bool(known) and len(known) == len(reports) and all(report.status == 200 for report in known)
    pools: dict[str, dict[str, int]] = {}
    for report in known:
        for name, pool in report.pools.items():
            if name not in pools or pool["healthy"] < pools[name]["healthy"]:
                pools[name] = pool
    body = {
        "status": "ready" if is_ready else "starting",
        "policies": bool(known) and all(report.policies for report in known),
        "pools": pools,
        "workers": {"wanted": size, "serving": len(reports), "ready": sum(report.status == 200 for report in known)},
    }
    return (200 if is_ready else 503), msgspec.json.encode(body)
