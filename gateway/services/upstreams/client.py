"""An upstream as a node of a pool: requests on the upstream's wire, and its replies as those of a node."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from time import monotonic
from typing import TypeVar

import structlog

from gateway.engine_client import (
    ClassifyReply,
    ClassifyRequest,
    EmbedReply,
    EmbedRequest,
    ExtractReply,
    ExtractRequest,
    NodeStatus,
    RerankReply,
    RerankRequest,
    Timings,
    TokenizeReply,
    TokenizeRequest,
)
from gateway.errors import EngineGone, GatewayError, RequestError, UpstreamRefuses
from gateway.services.snapshot.entries import UpstreamEntry
from gateway.services.upstreams import openai_wire, tei_wire
from gateway.services.upstreams.counts import GuessedEmbedReply, GuessedRerankReply, guessed, spread
from gateway.services.upstreams.http import Streamed, UpstreamHttp
from gateway.services.upstreams.replies import decoded
from gateway.services.upstreams.status import status_of

AT_ONCE = 4
"""Parts of one request that are under way together, where it has more inputs than the upstream takes."""
GOOD_FOR = 15.0
"""Seconds for which an upstream that answered is taken to be there without being asked again."""

Part = TypeVar("Part")
log = structlog.get_logger("shoal.upstreams")


class UpstreamClient:
    """Calls one upstream. The `address` of its calls, which clients of engine nodes need, says nothing new to it."""

    def __init__(self, upstream: UpstreamEntry, http: UpstreamHttp) -> None:
        self.upstream = upstream
        self._http = http
        self._info = tei_wire.Info()
        self._seen: tuple[float, NodeStatus] | None = None
        self._refused: tuple[float, str | None] | None = None
        """When it said, and how, that it does not accept us: it is not asked again and again."""
        self._counts = True
        """Whether it says what it used, as far as is known."""

    async def embed(self, _address: str, request: EmbedRequest, patience: float, /) -> EmbedReply:
        """Dense vectors, float32; an upstream gives no others."""
        _check_is_plain(request, tei=self._is_tei)
        parts = [request.inputs[start : start + self._most] for start in range(0, len(request.inputs), self._most)]
        answers = await self._each(parts, lambda inputs: self._embed_part(request, inputs, patience))
        widths = {width for _, width, _ in answers}
        used = [used for _, _, used in answers]
        return (GuessedEmbedReply if None in used else EmbedReply)(
            dimensions=max(widths, default=0),
            vectors=b"".join(data for data, _, _ in answers),
            token_counts=[
                count
                for inputs, said in zip(parts, used, strict=True)
                for count in spread(self._counted(said, inputs), inputs)
            ],
            truncated=[],
            timings=Timings(),
        )

    async def rerank(self, _address: str, request: RerankRequest, patience: float, /) -> RerankReply:
        """Scores as the upstream has them."""
        if request.instruction is not None:
            raise RequestError("The server behind this model reads no instruction.", param="instruction")
        if not self._is_tei:
            answer = await self._asked(self._http.post("/rerank", openai_wire.rerank_body(request), patience))
            scores, used = openai_wire.scores(answer.body, len(request.documents))
            texts = [request.query, *request.documents]
            return _reply(scores, used, self._counted(used, texts))
        documents = request.documents
        parts = [documents[start : start + self._most] for start in range(0, len(documents), self._most)]
        answers = await self._each(parts, lambda texts: self._rerank_part(request, texts, patience))
        scores = [score for scores, _ in answers for score in scores]
        pairs = [[request.query + text for text in texts] for texts in parts]
        counts = [self._counted(used, texts) for (_, used), texts in zip(answers, pairs, strict=True)]
        return _reply(scores, None if any(used is None for _, used in answers) else 0, sum(counts))

    async def classify(self, _address: str, _request: ClassifyRequest, _patience: float, /) -> ClassifyReply:
        """Not on these wires."""
        raise _unsupported("classify")

    async def extract(self, _address: str, _request: ExtractRequest, _patience: float, /) -> ExtractReply:
        """Not on these wires."""
        raise _unsupported("extract")

    async def tokenize(self, _address: str, _request: TokenizeRequest, _patience: float, /) -> TokenizeReply:
        """Not by what is known of these wires."""
        raise _unsupported("tokenize")

    async def complete(self, path: str, body: bytes, patience: float) -> bytes:
        """Have text generated, and wait for all of it: `/chat/completions` or `/completions`."""
        return (await self._asked(self._http.post(path, body, patience))).body

    async def generate(self, path: str, body: bytes, patience: float) -> Streamed:
        """The same as it comes."""
        return await self._asked(self._http.stream(path, body, patience))

    async def status(self, _address: str, patience: float, /) -> NodeStatus:
        """Whether it is there and takes our credential, and which models it says it has."""
        if self._seen is not None and monotonic() - self._seen[0] < GOOD_FOR:
            return self._seen[1]
        if self._refused is not None and monotonic() - self._refused[0] < GOOD_FOR:
            raise UpstreamRefuses(self._refused[1])
        try:
            version, names = await (self._look_at_tei(patience) if self._is_tei else self._look_at_openai(patience))
        except UpstreamRefuses as error:
            self._refused = monotonic(), error.reason
            raise
        status = status_of(version, names)
        self._seen = monotonic(), status
        return status

    async def listed(self, patience: float) -> list[openai_wire.Listed]:
        """The models that it says it has, with what it says of them."""
        if self._is_tei:
            info = decoded(tei_wire.DECODE_INFO, (await self._http.get("/info", patience)).body)
            self._info = info
            return [openai_wire.Listed(info.model_id, info.max_input_length)]
        return decoded(openai_wire.DECODE_MODELS, (await self._http.get("/models", patience)).body).data

    @property
    def _is_tei(self) -> bool:
        return self.upstream.kind == "tei"

    @property
    def _most(self) -> int:
        return max(1, self._info.max_client_batch_size) if self._is_tei else openai_wire.MOST_INPUTS

    async def _embed_part(
        self, request: EmbedRequest, inputs: list[str], patience: float
    ) -> tuple[bytes, int, int | None]:
        if self._is_tei:
            answer = await self._asked(self._http.post("/embed", tei_wire.embed_body(request, inputs), patience))
            data, width = tei_wire.vectors(answer.body, len(inputs), request.dimensions)
            return data, width, tei_wire.tokens(answer.headers)
        answer = await self._asked(self._http.post("/embeddings", openai_wire.embed_body(request, inputs), patience))
        return openai_wire.vectors(answer.body, len(inputs), request.dimensions)

    async def _rerank_part(
        self, request: RerankRequest, texts: list[str], patience: float
    ) -> tuple[list[float], int | None]:
        answer = await self._asked(self._http.post("/rerank", tei_wire.rerank_body(request, texts), patience))
        return tei_wire.scores(answer.body, len(texts)), tei_wire.tokens(answer.headers)

    async def _each(self, parts: Sequence[list[str]], ask: Callable[[list[str]], Awaitable[Part]]) -> list[Part]:
        """Every part's answer in order, a few at a time; the first that fails ends the others."""
        if len(parts) == 1:
            return [await ask(parts[0])]
        turns = asyncio.Semaphore(AT_ONCE)

        async def one(part: list[str]) -> Part:
            async with turns:
                return await ask(part)

        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(one(part)) for part in parts]
        except* GatewayError as errors:
            raise _first(errors) from errors
        return [task.result() for task in tasks]

    async def _asked(self, asking: Awaitable[Part]) -> Part:
        """An upstream that breaks off is looked at anew, not taken for well because it was a moment ago."""
        try:
            return await asking
        except EngineGone as error:
            self._seen = None
            log.warning("an upstream failed at a request", upstream=self.upstream.id, reason=error.for_operators)
            raise

    async def _look_at_openai(self, patience: float) -> tuple[str, list[str]]:
        try:
            return "", [model.id for model in await self.listed(patience)]
        except GatewayError as error:
            if error.status not in {400, 404, 429, 500} or isinstance(error, EngineGone):
                raise
            return "", []  # it is there, and lists no models: not every server does

    async def _look_at_tei(self, patience: float) -> tuple[str, list[str]]:
        listed = await self.listed(patience)
        return self._info.version, [model.id for model in listed]

    def _counted(self, used: int | None, texts: Sequence[str]) -> int:
        if used is not None:
            return used
        if self._counts:
            self._counts = False
            log.warning("an upstream does not say what it used; its tokens are guessed", upstream=self.upstream.id)
        return guessed(texts)


def _check_is_plain(request: EmbedRequest, *, tei: bool) -> None:
    """Raise where the request asks for what no upstream gives: better than vectors of another kind."""
    if request.outputs != ("dense",):
        raise RequestError(
            "The server behind this model gives dense vectors only.", param="output_types", code="task_unsupported"
        )
    if request.output_dtype != "float32":
        raise RequestError("The server behind this model gives float vectors only.", param="output_dtype")
    if request.task is not None:
        raise RequestError("The server behind this model knows no tasks.", param="task")
    if request.prompt_name is not None and not tei:
        raise RequestError("The server behind this model knows no prompts by name.", param="prompt_name")


def _reply(scores: list[float], said: int | None, tokens: int) -> RerankReply:
    return (GuessedRerankReply if said is None else RerankReply)(scores, tokens, [], Timings())


def _unsupported(what: str) -> RequestError:
    return RequestError(f"The server behind this model does not {what}.", param="model", code="task_unsupported")


def _first(errors: BaseExceptionGroup[GatewayError]) -> GatewayError:
    error: BaseException = errors
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error if isinstance(error, GatewayError) else GatewayError(str(error))
