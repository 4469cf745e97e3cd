"""What workers report to their parent, and what it makes of it for callers."""

import msgspec

from gateway.metric_families import Family
from gateway.services.standing import PoolStanding, Report


def metrics_in(content: bytes) -> list[Family]:
    """What a worker answered to `metrics`."""
    return msgspec.msgpack.decode(content, type=list[Family])


def report_in(content: bytes) -> Report:
    """What a worker answered to `readiness`."""
    return msgspec.msgpack.decode(content, type=Report)


def whole_readiness(reports: list[Report | None], size: int) -> tuple[int, bytes]:
    """Status and body of /health/ready: ready where somebody takes requests and everybody who does wants them.

    A worker that is being started again takes none, and so takes nothing from the readiness of the others.
    """
    known = [report for report in reports if report is not None]
    unready = next((report for report in known if not report.ready), None)
    is_ready = bool(known) and len(known) == len(reports) and unready is None
    pools: dict[str, PoolStanding] = {}
    for report in known:
        for name, pool in report.pools.items():
            if name not in pools or pool.healthy < pools[name].healthy:
                pools[name] = pool
    body = {
        "status": "ready" if is_ready else unready.status if unready is not None else "starting",
        "reasons": list(dict.fromkeys(reason for report in known for reason in report.reasons)),
        "policies": bool(known) and all(report.policies for report in known),
        "quota": next((report.quota for report in known if report.quota != "up"), "up"),
        "pools": pools,
        "workers": {"wanted": size, "serving": len(reports), "ready": sum(report.ready for report in known)},
    }
    return (200 if is_ready else 503), msgspec.json.encode(body)
