"""How soon a caller needs its answer: the lane that its request waits in, and for how long it waits at all."""

from gateway.api.model_choice import key_of
from gateway.call import Call
from gateway.engine_client import Lane
from gateway.errors import PermissionDenied, RequestError

LANE = b"x-shoal-lane"
OWN_TIMEOUT = (b"x-stainless-read-timeout", b"x-stainless-timeout")
"""What OpenAI's SDKs, for Python and for Node, say of the time-out that they keep themselves, in seconds."""


def choose_lane(call: Call) -> Lane:
    """The lane that the request asks for by `x-shoal-lane`, or else its tenant's; noted on the call.

    Raises PermissionDenied where a tenant of the bulk lane asks for the other one, RequestError for any other word.
    """
    tenant = key_of(call).tenant
    match call.headers.get(LANE, b"").strip().lower():
        case b"":
            call.lane = tenant.lane
        case b"interactive":
            if tenant.lane == "bulk":
                raise PermissionDenied(
                    "Your requests wait in the lane 'bulk'; leave out x-shoal-lane, or say 'bulk'.",
                    code="lane_not_allowed",
                    param="x-shoal-lane",
                )
            call.lane = "interactive"
        case b"bulk":
            call.lane = "bulk"
        case other:
            raise RequestError(
                f"x-shoal-lane is {other[:20].decode('latin-1')!r}; it may be 'interactive' or 'bulk'.",
                param="x-shoal-lane",
            )
    return call.lane


def time_left(call: Call) -> float | None:
    """Seconds until the caller hangs up by its own account; None where it gives none that can be read."""
    for name in OWN_TIMEOUT:
        try:
            stated = float(call.headers[name])
        except (KeyError, ValueError):
            continue
        if stated > 0:
            return max(0.0, stated - call.elapsed)
    return None
