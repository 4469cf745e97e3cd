"""The models of the demo: names, sizes and abilities of real ones, of which nothing is loaded."""

from dataclasses import dataclass

from gateway.services.register.model_facts import ModelFacts, Task
from gateway.services.register.models import NewModel

MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class DemoModel:
    """One of them."""

    id: str
    mib: int
    """In a device's memory."""
    family: str
    architecture: str
    task: Task = "embed"
    dimensions: int | None = 1024
    limit: int = 512
    aliases: tuple[str, ...] = ()
    pinned: bool = False
    outputs: tuple[str, ...] = ("dense",)
    prompts: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()

    def to_register(self, pool: str) -> NewModel:
        """As an operator registers it."""
        facts = ModelFacts(
            architecture=self.architecture,
            family=self.family,
            native=True,
            tasks=(self.task,),
            outputs=self.outputs,
            labels=self.labels,
            prompts=self.prompts,
            weight_bytes=self.mib * MIB,
        )
        return NewModel(
            id=self.id,
            pool=pool,
            aliases=self.aliases,
            pinned=self.pinned,
            dimensions=self.dimensions if self.task == "embed" else None,
            input_limit=self.limit,
            facts=facts,
        )


XLM, BERT, ROBERTA = "XLMRobertaModel", "BertModel", "RobertaForSequenceClassification"
XLM_PAIRS = "XLMRobertaForSequenceClassification"
MOODS = ("negative", "neutral", "positive")
NAMES = ("PER", "ORG", "LOC", "MISC")
BOTH = ("query", "document")
ALL_THREE = ("dense", "sparse", "multi")

ON_GPUS = (
    DemoModel("BAAI/bge-m3", 1083, "xlm-roberta", XLM, limit=8192, aliases=("embed",), pinned=True, outputs=ALL_THREE),
    DemoModel("BAAI/bge-reranker-v2-m3", 1084, "xlm-roberta", XLM_PAIRS, "rerank", limit=8192, aliases=("rerank",)),
    DemoModel("Qwen/Qwen3-Embedding-0.6B", 1137, "qwen3", "Qwen3ForCausalLM", limit=32768, prompts=BOTH),
    DemoModel("Qwen/Qwen3-Reranker-0.6B", 1138, "qwen3", "Qwen3ForCausalLM", "rerank", limit=32768),
    DemoModel("jinaai/jina-embeddings-v3", 1092, "jina-v3", "XLMRobertaLoRA", limit=8192, prompts=BOTH),
    DemoModel("intfloat/multilingual-e5-large", 1068, "xlm-roberta", XLM, prompts=("query", "passage")),
    DemoModel("Snowflake/snowflake-arctic-embed-l-v2.0", 1083, "xlm-roberta", XLM, limit=8192, prompts=("query",)),
    DemoModel("Alibaba-NLP/gte-large-en-v1.5", 828, "gte", "NewModel", limit=8192),
    DemoModel("Alibaba-NLP/gte-multilingual-base", 582, "gte", "NewModel", dimensions=768, limit=8192),
    DemoModel("mixedbread-ai/mxbai-embed-large-v1", 639, "bert", BERT, prompts=("query",)),
    DemoModel("google/embeddinggemma-300m", 578, "gemma3", "Gemma3TextModel", dimensions=768, limit=2048),
    DemoModel("nomic-ai/nomic-embed-text-v1.5", 261, "nomic-bert", "NomicBertModel", dimensions=768, limit=8192),
    DemoModel("urchade/gliner_multi-v2.1", 553, "gliner", "GLiNER", "extract", limit=384, aliases=("extract",)),
    DemoModel("knowledgator/gliclass-base-v1.0", 356, "gliclass", "GLiClassModel", "classify"),
    DemoModel("answerdotai/ModernBERT-reranker-large", 754, "modernbert", "ModernBertModel", "rerank", limit=8192),
)
ON_CPUS = (
    DemoModel(
        "sentence-transformers/all-MiniLM-L6-v2", 87, "bert", BERT, dimensions=384, aliases=("mini",), pinned=True
    ),
    DemoModel("BAAI/bge-small-en-v1.5", 127, "bert", BERT, dimensions=384),
    DemoModel("intfloat/e5-base-v2", 418, "bert", BERT, dimensions=768, prompts=("query", "passage")),
    DemoModel("cross-encoder/ms-marco-MiniLM-L-12-v2", 128, "bert", "BertForSequenceClassification", "rerank"),
    DemoModel("dslim/bert-base-NER", 411, "bert", "BertForTokenClassification", "extract", labels=NAMES),
    DemoModel("cardiffnlp/twitter-roberta-sentiment", 476, "roberta", ROBERTA, "classify", labels=MOODS),
    DemoModel("MoritzLaurer/deberta-v3-base-zeroshot", 704, "deberta-v2", "DebertaV2ForSequence", "classify"),
)
MODELS = {model.id: model for model in (*ON_GPUS, *ON_CPUS)}
