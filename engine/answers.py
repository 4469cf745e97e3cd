"""How decoders that answer yes or no are asked: one template per lineage, chosen by what the folder says of itself.

A pair is a row of pieces, each tokenized by itself, as the references do it: Qwen3-Reranker's model card, and
`mxbai_rerank_v2.py` of mxbai-rerank. Only the document is ever cut.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from engine.checkpoint import TensorEntry
from engine.errors import ArchitectureUnknown, ModelInvalid, WeightMismatch
from engine.folder import ModelFolder, Module, inside, parse, positive, read_object, read_optional
from engine.head_spec import Heads, HeadSpec
from engine.score_config import read_activation

DOCUMENT = "{document}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    """How one lineage reads a pair."""

    pieces: tuple[str, ...]
    """`{query}`, `{document}` and `{instruction}` stand for what the request says."""
    instructed: str = "{instruction}"
    """What `{instruction}` becomes where there is one; otherwise it is left out."""
    instruction: str | None = None
    """The one that the model was trained with, where a request says none."""
    yes: str
    no: str
    activation: str
    """Of the reference; a folder may state another."""
    mark: str
    """Words of the template by which a chat template of the folder is known to be it."""
    markers: tuple[str, ...]
    """Special tokens that its tokenizer must have."""


QWEN3 = Template(
    pieces=(
        (
            "<|im_start|>system\nJudge whether the Document meets the requirements based on the Query and the Instruct "
            'provided. Note that the answer can only be "yes" or "no".<|im_end|>\n<|im_start|>user\n'
        ),
        "<Instruct>: {instruction}\n<Query>: {query}\n<Document>: {document}",
        "<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n",
    ),
    instruction="Given a web search query, retrieve relevant passages that answer the query",
    yes="yes",
    no="no",
    activation="sigmoid",
    mark="Judge whether the Document meets the requirements",
    markers=("<|im_start|>", "<|im_end|>", "<think>", "</think>"),
)
MXBAI = Template(
    pieces=(
        (
            "<|im_start|>system\nYou are Qwen, created by Alibaba Cloud. You are a helpful assistant.<|im_end|>\n"
            "<|im_start|>user\n"
        ),
        "{instruction}query: {query}",
        "\n",
        "document: {document}",
        "\n",
        (
            "You are a search relevance expert who evaluates how well documents match search queries. For each "
            "query-document pair, carefully analyze the semantic relationship between them, then provide your binary "
            "relevance judgment (0 for not relevant, 1 for relevant).\nRelevance:"
        ),
        "<|im_end|>\n<|im_start|>assistant\n",
    ),
    instructed="instruction: {instruction}\n",
    yes="1",
    no="0",
    activation="identity",
    mark="You are a search relevance expert",
    markers=("<|im_start|>", "<|im_end|>"),
)
TEMPLATES: Mapping[str, Template] = {"qwen3": QWEN3, "qwen2": MXBAI}
"""By family: each has one lineage of rerankers."""

EMBEDDINGS = ("model.embed_tokens.weight", "embed_tokens.weight")
OUTPUT = "lm_head.weight"


def answering(folder: ModelFolder) -> Heads | None:
    """A decoder that answers: sentence-transformers' `LogitScore`, or no modules and all that its template needs."""
    stated = folder.kinds == ["Transformer", "LogitScore"]
    if folder.architecture.top != "causal_lm" or not (stated or not folder.modules):
        return None
    template = TEMPLATES.get(folder.architecture.family)
    words = _words(folder)
    if not stated and (template is None or not _fits(template, words)):
        return None
    if template is None or not _is_ours(template, folder):
        raise ArchitectureUnknown(
            f"A reranker of the family {folder.architecture.family} with this chat template is not known here."
        )
    yes, no = _stated(folder, folder.modules[1]) if stated else (words[template.yes], words[template.no])
    table = _table(folder)
    tensors = {"yes.weight": row(table, yes)} | ({} if no is None else {"no.weight": row(table, no)})
    said = folder.settings.get("activation_fn")
    settings = {
        "family": folder.architecture.family,
        "has_no": no is not None,
        "activation": read_activation(folder, labels=1) if said or stated else template.activation,
    }
    return Heads(
        specs=(HeadSpec("scores", "answer", settings),),
        dimensions=positive(folder.config, "hidden_size"),
        tensors=tensors,
    )


def _words(folder: ModelFolder) -> Mapping[str, int]:
    """The vocabulary of the folder's tokenizer, special tokens included."""
    read = parse(folder.network / "tokenizer.json")
    try:
        vocabulary = read["model"]["vocab"]
        words = dict(vocabulary) if isinstance(vocabulary, dict) else {}
        return words | {added["content"]: added["id"] for added in read.get("added_tokens") or ()}
    except (TypeError, KeyError) as error:
        raise ModelInvalid(f"{folder.network / 'tokenizer.json'} has no vocabulary.") from error


def _fits(template: Template, words: Mapping[str, int]) -> bool:
    """Whether a tokenizer knows the answers and the markers."""
    return all(word in words for word in (template.yes, template.no, *template.markers))


def _is_ours(template: Template, folder: ModelFolder) -> bool:
    """Whether the folder's chat template, where it is one of a reranker's, is this."""
    file = folder.network / "chat_template.jinja"
    chat = (
        file.read_text()
        if file.is_file()
        else read_optional(folder.network, "tokenizer_config.json").get("chat_template")
    )
    return not folder.modules or template.mark in str(chat)


def _stated(folder: ModelFolder, module: Module) -> tuple[int, int | None]:
    """The tokens that a `LogitScore` module names."""
    config = read_object(inside(folder.path, module.path), "config.json")
    no = config.get("false_token_id")
    return positive(config, "true_token_id"), None if no is None else positive(config, "false_token_id")


def _table(folder: ModelFolder) -> TensorEntry:
    """The output layer: its own, or the embeddings that it shares."""
    names = EMBEDDINGS if folder.config.get("tie_word_embeddings") else (OUTPUT,)
    for name in names:
        if name in folder.tensors:
            return folder.tensors[name]
    raise WeightMismatch(f"The checkpoint lacks {names[0]}, which the answers are read from.")


def row(table: TensorEntry, place: int) -> TensorEntry:
    """One row of a tensor, as a tensor of its own: (1, H)."""
    rows, width = table.shape
    if not 0 <= place < rows:
        raise ModelInvalid(f"The tokenizer's answer has the id {place}, and the output layer {rows} rows.")
    size = table.nbytes // rows
    return TensorEntry(table.file, table.dtype, (1, width), table.offset + place * size, size)
