"""What the API said, made ready to be looked at. Pure: bodies in, pages' parts out; whatever a body may lack."""

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from admin_ui.contexts.playground import Cell, MatrixRow, Outcome, Piece, Score, Scores
from admin_ui.ports import ApiAnswer
from admin_ui.wording import MISLEADING, plain_text

SHOWN_NUMBERS = 6
"""Of a vector."""
MOST_BODY = 20_000
"""Characters of an answer that are shown."""
COLOURS = 8
UNLIMITED = "1000000000"
"""What the API's headers say where there is no limit."""


def outcome_of(answer: ApiAnswer, task: str, texts: Sequence[str]) -> Outcome:
    """The answer to a question of this kind about these texts."""
    said = _decoded(answer.body)
    good = answer.status < 400 and isinstance(said, dict)
    data = said.get("data") if good else None
    items = [item for item in data if isinstance(item, dict)] if isinstance(data, list) else []
    vectors = [item["embedding"] for item in items if task == "embed" and isinstance(item.get("embedding"), list)]
    entities = items[0].get("entities", []) if task == "extract" and items else []
    pieces = pieces_of(texts[0], entities) if task == "extract" and texts and good else ()
    problem, code = (None, None) if good else _problem(answer, said)
    return Outcome(
        status=answer.status,
        problem=problem,
        code=code,
        seconds=answer.seconds,
        tokens=_tokens(said) if good else None,
        request_id=answer.headers.get("x-request-id", ""),
        left=_left(answer.headers),
        dimensions=len(vectors[0]) if vectors else 0,
        matrix=matrix_of(texts, vectors),
        scores=_ranked(said, texts) if good and task == "rerank" else _classes(items, texts, task),
        pieces=pieces,
        found=sum(piece.label is not None for piece in pieces),
        body=_shown(said, answer.body),
    )


def matrix_of(texts: Sequence[str], vectors: Sequence[Sequence[float]]) -> Sequence[MatrixRow]:
    """How alike every two texts are, by the cosine of their vectors."""
    units = [_unit(vector) for vector in vectors]
    rows = []
    for place, (text, unit) in enumerate(zip(texts, units, strict=False)):
        cosines = [sum(a * b for a, b in zip(unit, other, strict=False)) for other in units]
        cells = [Cell(value, round(max(0.0, min(1.0, value)) * 10)) for value in cosines]
        begins = ", ".join(f"{number:.4g}" for number in vectors[place][:SHOWN_NUMBERS])
        rows.append(MatrixRow(place + 1, text, cells, begins))
    return rows


def pieces_of(text: str, entities: Sequence[Mapping[str, Any]]) -> Sequence[Piece]:
    """The text cut at what was found; what lies within an earlier piece is left out."""
    colours: dict[str, int] = {}
    pieces: list[Piece] = []
    reached = 0
    for entity in sorted(entities, key=lambda one: (one["start"], -one["end"])):
        start, end, label = entity["start"], entity["end"], entity["label"]
        if start < reached or end <= start:
            continue
        if start > reached:
            pieces.append(Piece(text[reached:start]))
        colour = colours.setdefault(label, len(colours) % COLOURS)
        pieces.append(Piece(text[start:end], label, float(entity["score"]), colour))
        reached = end
    if reached < len(text):
        pieces.append(Piece(text[reached:]))
    return pieces


def _unit(vector: Sequence[float]) -> Sequence[float]:
    length = math.sqrt(sum(number * number for number in vector))
    return [number / length for number in vector] if length else vector


def _ranked(said: Mapping[str, Any], texts: Sequence[str]) -> Sequence[Scores]:
    results = [one for one in said.get("results", ()) if 0 <= one["index"] < len(texts)]
    return [Scores("Documents", _lines([(texts[one["index"]], one["relevance_score"]) for one in results]))]


def _classes(items: Sequence[Mapping[str, Any]], texts: Sequence[str], task: str) -> Sequence[Scores]:
    if task != "classify":
        return ()
    return [
        Scores(text, _lines([(one["label"], one["score"]) for one in item.get("predictions", ())]))
        for text, item in zip(texts, items, strict=False)
    ]


def _lines(scores: Sequence[tuple[str, float]]) -> Sequence[Score]:
    """With bars: a share of one where all are shares, else of the widest."""
    widest = max((abs(value) for _, value in scores), default=1.0)
    whole = max(1.0, widest)
    return [Score(text, value, max(0.0, value / whole)) for text, value in scores]


def _problem(answer: ApiAnswer, said: Any) -> tuple[str, str | None]:
    error = said.get("error") if isinstance(said, dict) else None
    if isinstance(error, dict) and isinstance(error.get("message"), str):
        return error["message"], error.get("code") or error.get("type")
    return answer.body.decode(errors="replace")[:500] or "The API said nothing.", None


def _tokens(said: Mapping[str, Any]) -> int | None:
    usage = said.get("usage")
    tokens = usage.get("total_tokens") if isinstance(usage, dict) else None
    return tokens if isinstance(tokens, int) else None


def _left(headers: Mapping[str, str]) -> Sequence[tuple[str, str]]:
    named = ((what, headers.get(f"x-ratelimit-remaining-{what}")) for what in ("requests", "tokens"))
    return [(what, value) for what, value in named if value is not None and value != UNLIMITED]


def _decoded(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        return None


def _shown(said: Any, body: bytes) -> str:
    if said is None:
        return plain_text(body.decode(errors="replace")[:MOST_BODY])
    text = json.dumps(_cut(said), indent=2, ensure_ascii=False)
    text = MISLEADING.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
    return text if len(text) <= MOST_BODY else f"{text[:MOST_BODY]}\n…"


def _cut(value: Any) -> Any:
    """The same with the beginnings of vectors alone."""
    if isinstance(value, dict):
        return {name: _cut(one) for name, one in value.items()}
    if isinstance(value, list):
        numbers = len(value) > SHOWN_NUMBERS and all(isinstance(one, int | float) for one in value)
        rest = [f"… {len(value) - SHOWN_NUMBERS} more"] if numbers else []
        return [*(value[:SHOWN_NUMBERS] if numbers else [_cut(one) for one in value]), *rest]
    return value
