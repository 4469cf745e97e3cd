"""Texts to token ids, off the event loop, in the Rust tokenizer, batched over all requests that wait.

While one batch of texts is in the tokenizer the next collects; there is no timer.
"""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any, Literal, TypeVar

import numpy as np
import tokenizers

from engine.encoded import DENSE, Encoded
from engine.errors import BadRequest, CheckpointCorrupt, Draining, InputTooLong

T = TypeVar("T")

Cut = Literal["longest_first", "only_first", "only_second"]
"""What of two texts is cut where they are too long together: token by token the longer one, or always one of them."""

CHARACTERS_PER_TOKEN = 32
"""A text is read this far per token of the limit before it is cut; whether that was enough is checked."""


@dataclass(frozen=True, slots=True)
class Tokenized:
    """A request's inputs as sequences."""

    encoded: list[Encoded]
    truncated: list[int]
    """Indices of the inputs that were cut."""


Text = str | tuple[str, str]
"""A text, or two that a model reads as one: a query and a document."""


Finish = Callable[[Encoded], Encoded]
"""What is made of a sequence before it goes on, in the tokenizer's thread."""


@dataclass(frozen=True, slots=True)
class _Waiting:
    texts: Sequence[Text]
    limit: int
    truncate: bool
    outputs: tuple[str, ...]
    cut: Cut
    specials: bool
    finish: Finish | None
    done: "asyncio.Future[Tokenized]"


class Tokenizer:
    """A model's own tokenizer.json, with its padding and truncation set aside."""

    def __init__(self, file: Path, *, lowercase: bool, vocabulary: int, typed: bool = True) -> None:
        try:
            self._tokenizer = tokenizers.Tokenizer.from_str(file.read_text(encoding="utf-8"))
        except Exception as error:  # tokenizers raises bare Exception
            raise CheckpointCorrupt(f"{file} can not be read: {error}") from error
        self._tokenizer.no_padding()
        self._lowercase, self._typed = lowercase, typed
        self._specials = self._tokenizer.num_special_tokens_to_add(False)
        self._pair_specials = self._tokenizer.num_special_tokens_to_add(True)
        self.opening = _opening(self._tokenizer)
        """Special tokens that come before every text."""
        self._vocabulary = vocabulary if self._tokenizer.get_vocab_size() > vocabulary else None
        self._waiting: list[_Waiting] = []
        self._running: asyncio.Task[None] | None = None

    @property
    def pair_frame(self) -> int:
        """Special tokens that two texts have more than one."""
        return int(self._pair_specials - self._specials)

    async def encode(
        self,
        texts: Sequence[Text],
        *,
        limit: int,
        truncate: bool,
        executor: Executor,
        outputs: tuple[str, ...] = DENSE,
        cut: Cut = "longest_first",
        specials: bool = True,
        finish: Finish | None = None,
    ) -> Tokenized:
        """Tokenize one request's texts to at most `limit` tokens each, together with whatever other requests wait.

        `outputs` is what the sequences will ask of the model. Without `specials` no special tokens are put around a
        text, which may then have no tokens at all.
        """
        done: asyncio.Future[Tokenized] = asyncio.get_running_loop().create_future()
        waiting = _Waiting(texts, limit, truncate, outputs, cut, specials, finish, done)
        self._waiting.append(waiting)
        if self._running is None:
            self._running = asyncio.create_task(self._drain(executor))
        return await waiting.done

    async def read(self, job: Callable[[tokenizers.Tokenizer], T], executor: Executor) -> T:
        """Have a job of one's own done by the Rust tokenizer, which is in nobody else's hands meanwhile.

        The job sets the truncation that it wants.
        """
        try:
            outcome = executor.submit(job, self._tokenizer)
        except RuntimeError as error:  # the executor has been shut down
            raise Draining("The node has stopped.", retry_after=1.0) from error
        return await asyncio.wrap_future(outcome)

    def fault(self, encoded: Sequence[Encoded], *, specials: bool = True) -> BadRequest | None:
        """What is wrong with the first sequence that the model can not read. One without `specials` may be empty."""
        for index, sequence in enumerate(encoded):
            if len(sequence) == 0 and specials:
                return BadRequest("An input has no tokens.", index=index)
            if self._vocabulary is not None and len(sequence) and sequence.ids.max() >= self._vocabulary:
                return BadRequest("An input has a token that the model has no embedding for.", index=index)
        return None

    def token_id(self, token: str) -> int | None:
        """Of a token by its exact text; None where there is none."""
        found: int | None = self._tokenizer.token_to_id(token)
        return found

    def beginning(self, prompt: str) -> int:
        """Tokens that a prompt has at the beginning of a text, special ones before it included.

        Counted as sentence-transformers does, on the prompt alone. To be called by a `finish`.
        """
        encoding = self._tokenizer.encode(prompt)
        return len(encoding) - (1 if encoding.special_tokens_mask[-1:] == [1] else 0)

    async def _drain(self, executor: Executor) -> None:
        loop = asyncio.get_running_loop()
        try:
            while self._waiting:
                taken = [waiting for waiting in self._waiting if not waiting.done.done()]
                self._waiting.clear()
                outcomes: list[Tokenized | Exception]
                try:
                    outcomes = await loop.run_in_executor(executor, self._encode_all, taken)
                except RuntimeError:  # the executor has been shut down
                    outcomes = [Draining("The node has stopped.", retry_after=1.0) for _ in taken]
                for waiting, outcome in zip(taken, outcomes, strict=True):
                    if waiting.done.done():
                        continue
                    if isinstance(outcome, Exception):
                        waiting.done.set_exception(outcome)
                    else:
                        waiting.done.set_result(outcome)
        finally:
            self._running = None

    def _encode_all(self, taken: Sequence[_Waiting]) -> list[Tokenized | Exception]:
        """One outcome per request. Requests with one limit share a call; a call that fails is made again one by one."""
        outcomes: list[Tokenized | Exception] = []
        for _, group in groupby(taken, key=lambda waiting: (waiting.limit, waiting.cut, waiting.specials)):
            requests = list(group)
            try:
                encodings = self._encode([text for waiting in requests for text in waiting.texts], requests[0])
            except Exception as error:  # noqa: BLE001 - whatever it is, it is the outcome of somebody's request
                if len(requests) == 1:
                    outcomes.append(self._explain(requests[0], error))
                else:
                    outcomes.extend(outcome for waiting in requests for outcome in self._encode_all([waiting]))
                continue
            for waiting in requests:
                outcomes.append(self._tokenized(waiting, encodings[: len(waiting.texts)]))
                del encodings[: len(waiting.texts)]
        return outcomes

    def _encode(self, texts: list[Text], how: _Waiting) -> list[tokenizers.Encoding]:
        """By the limit, the cut and the special tokens of `how`."""
        limit, specials = how.limit, how.specials
        self._tokenizer.enable_truncation(limit, strategy=how.cut)
        if self._lowercase:
            texts = [_each(text, str.lower) for text in texts]
        head = limit * CHARACTERS_PER_TOKEN
        heads = [_each(text, lambda part: part[:head]) for text in texts]
        encodings = self._tokenizer.encode_batch_fast(heads, add_special_tokens=specials)
        for index, text in enumerate(texts):
            # Twice the limit is far enough from the cut that the tokens kept are those of the whole text.
            if _longest(text) > head and self._length(encodings[index]) < 2 * limit:
                encodings[index] = self._tokenizer.encode_batch_fast([text], add_special_tokens=specials)[0]
        return encodings

    def _length(self, encoding: tokenizers.Encoding) -> int:
        """Tokens before truncation, special ones counted once."""
        specials = self._pair_specials if encoding.n_sequences > 1 else self._specials
        return len(encoding) + sum(len(rest) - specials for rest in encoding.overflowing)

    def _tokenized(self, waiting: _Waiting, encodings: Sequence[tokenizers.Encoding]) -> Tokenized | Exception:
        truncated = [
            index for index, encoding in enumerate(encodings) if len(encoding) >= waiting.limit and encoding.overflowing
        ]
        if truncated and not waiting.truncate:
            index = truncated[0]
            self._tokenizer.no_truncation()
            whole = self._tokenizer.encode_batch_fast([waiting.texts[index]], add_special_tokens=waiting.specials)[0]
            return InputTooLong(index=index, limit=waiting.limit, actual=len(whole))
        encoded = [self._sequence(encoding, waiting.outputs) for encoding in encodings]
        finished = encoded if waiting.finish is None else list(map(waiting.finish, encoded))
        return self.fault(encoded, specials=waiting.specials) or Tokenized(finished, truncated)

    def _sequence(self, encoding: tokenizers.Encoding, outputs: tuple[str, ...]) -> Encoded:
        ids = np.array(encoding.ids, dtype=np.int32)
        if encoding.n_sequences == 1 or not self._typed:
            return Encoded(ids, outputs=outputs)
        types = np.array(encoding.type_ids, dtype=np.int32)
        return Encoded(ids, types if types.any() else None, outputs)

    def _explain(self, waiting: _Waiting, error: Exception) -> Exception:
        """The typed error for texts that the tokenizer refused."""
        if "too short to respect" in str(error):  # the text that may be cut is shorter than what has to go
            return BadRequest("Of two texts the one that may not be cut is longer than the model takes.")
        return not_unicode(waiting.texts) or error


def not_unicode(texts: Sequence[Text]) -> BadRequest | None:
    """What is wrong with the first text that is not UTF-8."""
    for index, text in enumerate(texts):
        try:
            _each(text, str.encode)
        except UnicodeEncodeError:
            return BadRequest("An input is not valid Unicode: it has a lone surrogate.", index=index)
    return None


def _opening(tokenizer: tokenizers.Tokenizer) -> int:
    mask: list[int] = tokenizer.encode("a").special_tokens_mask
    return next((place for place, special in enumerate(mask) if not special), 0)


def _each(text: Text, change: Callable[[str], Any]) -> Any:
    return change(text) if isinstance(text, str) else tuple(map(change, text))


def _longest(text: Text) -> int:
    return len(text) if isinstance(text, str) else max(map(len, text))
