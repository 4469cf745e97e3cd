"""How decoders that answer yes or no are asked: one template per lineage, chosen by what the folder says of itself.

A pair is a row of pieces, each tokenized by itself, as the references do it: Qwen3-Reranker's model card,
`mxbai_rerank_v2.py` of mxbai-rerank, `decoder_only/base.py` of FlagEmbedding. Only the document is ever cut.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from engine.configs.head_spec import Heads, HeadSpec
from engine.configs.scores import read_activation
from engine.errors import ArchitectureUnknown, ModelInvalid, WeightMismatch
from engine.files.checkpoint import TensorEntry
from engine.files.folder import ModelFolder, Module, inside, parse, positive, read_object, read_optional

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
    no: str | None
    """None: the logit of yes is the score."""
    activation: str
    """Of the reference; a folder may state another."""
    mark: str
    """Words of the template by which a chat template of the folder is known to be it."""
    markers: tuple[str, ...]
    """Special tokens that its tokenizer must have."""

    @property
    def takes_instructions(self) -> bool:
        """There is a place for one."""
        return any("{instruction}" in piece for piece in self.pieces)


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
GEMMA = Template(
    pieces=(
        "<bos>",
        "A: {query}",
        "\n",
        "B: {document}",
        "\n",
        (
            "Given a query A and a passage B, determine whether the passage contains an answer to the query by "
            "providing a prediction of either 'Yes' or 'No'."
        ),
    ),
    yes="Yes",
    no=None,
    activation="identity",
    mark="Given a query A and a passage B",
    markers=("<bos>",),
)

TEMPLATES: Mapping[str, Template] = {"qwen3": QWEN3, "qwen2": MXBAI, "gemma": GEMMA}
"""By family: each has one lineage of rerankers."""

EMBEDDINGS = ("model.embed_tokens.weight", "embed_tokens.weight")
OUTPUT = "lm_head.weight"


def answering(folder: ModelFolder) -> Heads | None:
    """A decoder that answers: sentence-transformers' `LogitScore`, or no modules and all that its template needs."""
    if folder.architecture.top != "causal_lm":
        return None
    family = folder.architecture.family
    template = TEMPLATES.get(family)
    if folder.kinds == ["Transformer", "LogitScore"]:
        if template is None or template.mark not in _chat_template(folder):
            raise ArchitectureUnknown(f"A reranker of the family {family} with this chat template is not known here.")
        yes, no = _stated(folder, folder.modules[1])
        activation = read_activation(folder, labels=1)
    elif folder.modules or template is None or not _fits(template, words := _words(folder)):
        return None
    else:
        yes, no = words[template.yes], words[template.no] if template.no else None
        activation = template.activation
    table = _table(folder)
    return Heads(
        specs=(HeadSpec("scores", "answer", {"family": family, "has_no": no is not None, "activation": activation}),),
        dimensions=positive(folder.config, "hidden_size"),
        tensors={"yes.weight": row(table, yes)} | ({} if no is None else {"no.weight": row(table, no)}),
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
    return all(word in words for word in (template.yes, template.no, *template.markers) if word is not None)


def _chat_template(folder: ModelFolder) -> str:
    """As text; it is never run."""
    file = folder.network / "chat_template.jinja"
    if file.is_file():
        return file.read_text(encoding="utf-8")
    return str(read_optional(folder.network, "tokenizer_config.json").get("chat_template"))


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
