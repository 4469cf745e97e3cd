"""Query parameters of lists, as OpenAI's clients send them."""

from typing import Any
from urllib.parse import parse_qsl

from litestar import Request

from gateway.errors import RequestError


def query_of(request: Request[Any, Any, Any]) -> dict[str, str]:
    """Parameters that say something; the last of each counts. Unknown ones are nobody's business."""
    return {name: text for name, text in parse_qsl(request.scope["query_string"].decode("latin-1")) if text}


def limit_of(query: dict[str, str], *, usual: int, most: int) -> int:
    """How many are asked for. Raises RequestError."""
    text = query.get("limit", str(usual))
    if not (text.isascii() and text.isdigit() and len(text) <= 9 and 1 <= int(text) <= most):
        raise RequestError(f"Invalid 'limit': expected a number from 1 to {most}.", param="limit")
    return int(text)


def is_newest_first(query: dict[str, str]) -> bool:
    """The order that is asked for. Raises RequestError."""
    order = query.get("order", "desc")
    if order not in {"asc", "desc"}:
        raise RequestError("Invalid 'order': expected 'asc' or 'desc'.", param="order")
    return order == "desc"
