"""What an upstream's refusal means to the caller of the gateway, and what of its words the caller may read.

An upstream that does not accept us, or is not there, is the operator's business: the caller is told no more than that,
and the operator, in the list of nodes and in the log, what it was. Only of a request that is itself at fault the
upstream's own words go on, without addresses and credentials.
"""

import math
import re
from collections.abc import Mapping
from typing import Any

import msgspec

from gateway.errors import EngineGone, EngineOverloaded, GatewayError, ModelUnusable, RequestError, UpstreamRefuses

LONGEST_MESSAGE = 500
UNFIT = re.compile(r"[^\x20-\x7e\u00a0-\uffff]+")
"""Control characters, and what no error message needs."""
ADDRESSES = re.compile(r"\b[a-z][a-z0-9+.-]{1,9}://\S+|\b\d{1,3}(?:\.\d{1,3}){3}\b(?::\d+)?", re.IGNORECASE)
CREDENTIALS = re.compile(r"\b(?:bearer\s+\S+|(?:sk|hf|gsk|xai|pplx|pa|jina)[-_][A-Za-z0-9_*-]{6,})", re.IGNORECASE)
WORD = re.compile(r"[a-z_][a-z0-9_.\[\]]{0,99}", re.IGNORECASE)
AWAY = "The server behind this model is not available now, please try again later."


class Said(msgspec.Struct):
    """The parts of an error's body that servers agree on, as far as they do."""

    error: Any = None
    message: Any = None
    detail: Any = None


def refusal(status: int, headers: Mapping[str, str], body: bytes, secrets: tuple[str, ...]) -> GatewayError:
    """The error for an answer that is not 200; `secrets` must not be in its words."""
    message, code, param = said(body)
    if status in {401, 407}:
        return refuses(f"does not accept the credential that it was given ({status})", of_credential=True)
    if status == 402 or code == "insufficient_quota":
        return refuses(f"says that its account has no credit left ({status})")
    if 300 <= status < 400:
        return refuses(f"redirects elsewhere ({status}), which is not followed; correct its address")
    if status == 403:  # of a model, or of what a request says: callers must not close it to others by that
        forbidden = ModelUnusable(
            "The server behind this model does not allow this request. Please ask the operator of this service."
        )
        forbidden.reason = "The upstream forbids it to the credential that it was given (403)."
        return forbidden
    if status == 429:
        return EngineOverloaded(
            "The engine is currently overloaded, please try again later.",
            code="engine_overloaded",
            retry_after=wait_of(headers),
        )
    if status in {404, 405, 410}:
        return ModelUnusable(
            "The server behind this model does not know it, or can not do this with it. Please ask the operator of "
            "this service."
        )
    if 400 <= status < 500 and status not in {408, 421, 424, 425, 499}:
        return RequestError(safe(message, secrets), code=code, param=param)
    failure = away(f"failed at a request ({status})")
    failure.answered = status not in {502, 503}
    return failure


def away(reason: str) -> EngineGone:
    """The upstream can not be used now, for a reason that operators read and callers do not."""
    return EngineGone(AWAY, code="upstream_unavailable", retry_after=1.0, reason=f"The upstream {reason.rstrip('.')}.")


def refuses(reason: str, *, of_credential: bool = False) -> UpstreamRefuses:
    """As `away`, until its operator or ours has done something."""
    return UpstreamRefuses(f"The upstream {reason}.", of_credential=of_credential)


def said(body: bytes) -> tuple[str, str | None, str | None]:
    """Message, code and parameter of an error's body, in whichever shape."""
    try:
        decoded = msgspec.json.decode(body, type=Said)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return "", None, None
    inner = decoded.error if isinstance(decoded.error, dict) else {}
    message = next(
        (
            text
            for text in (inner.get("message"), decoded.error, decoded.message, decoded.detail)
            if isinstance(text, str)
        ),
        "",
    )
    return message, _word(inner.get("code")), _word(inner.get("param"))


def safe(message: str, secrets: tuple[str, ...]) -> str:
    """A message without control characters, addresses and credentials, and not too long."""
    for secret in secrets:
        message = message.replace(secret, "…")
    for pattern in (ADDRESSES, CREDENTIALS):
        message = pattern.sub("…", message)
    message = UNFIT.sub(" ", message).strip()
    if len(message) > LONGEST_MESSAGE:
        message = message[:LONGEST_MESSAGE] + "…"
    return message or "The server behind this model refused the request."


def wait_of(headers: Mapping[str, str]) -> float:
    """Seconds that the upstream asks to wait; one where it does not say."""
    for name, unit in (("retry-after-ms", 1000.0), ("retry-after", 1.0)):
        try:
            seconds = float(headers[name]) / unit
        except (KeyError, ValueError):
            continue
        if not math.isnan(seconds):
            return min(max(seconds, 0.001), 3600.0)
    return 1.0


def _word(value: Any) -> str | None:
    return value if isinstance(value, str) and WORD.fullmatch(value) else None
