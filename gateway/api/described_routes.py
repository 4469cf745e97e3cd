"""Every route beside those of files and batches, as the document of the wires (openapi.py) tells it."""

from typing import Any

from gateway.api import cohere, paths, tei
from gateway.api.described import TEXT, WORK, Described, ref

INPUTS_ALONE = {"required": ["inputs"], "properties": {"texts": {"type": "null"}}}
OPEN: tuple[dict[str, list[str]], ...] = ()
VECTORS = {"type": "array", "items": {"type": "array", "items": {"type": "number"}}}
PREDICTIONS = {"type": "array", "items": ref("TeiPrediction")}
TEI_REPLIES: dict[str, tuple[dict[str, Any], ...]] = {
    "dense": (VECTORS, ref("ChromaDense")),
    "sparse": (
        {"type": "array", "items": {"type": "array", "items": ref("TeiSparseValue")}},
        ref("ChromaSparse"),
    ),
    "multi": ({"type": "array", "items": VECTORS},),
}
ROUTES = (
    Described(
        "post", paths.EMBEDDINGS, "create_embeddings", "Embed texts", (ref("Embeddings"),), "EmbeddingsBody", WORK
    ),
    *(
        Described(
            "post",
            names,
            f"create_embeddings_as_cohere_{version}",
            f"Embed texts, as version {version} of Cohere's API",
            (ref("CohereEmbeddings"),),
            "CohereEmbedBody",
            WORK,
        )
        for version, names in cohere.PATHS.items()
    ),
    *(
        Described(
            "post",
            kind.paths,
            f"create_{kind.output}_embeddings_as_tei",
            f"Embed texts as text-embeddings-inference does: {kind.output}",
            TEI_REPLIES[kind.output],
            "TeiBody",
            WORK,
            wrong=("PlainErrorBody",),
        )
        for kind in tei.KINDS
    ),
    Described(
        "post",
        paths.BARE,
        "create_embeddings_by_address",
        "Embed texts, as text-embeddings-inference does or (with `texts`) as version 2 of Cohere's API",
        (VECTORS, ref("ChromaDense"), ref("CohereEmbeddings")),
        {"anyOf": [{"allOf": [ref("TeiBody"), INPUTS_ALONE]}, ref("CohereEmbedBody")]},
        WORK,
        wrong=("PlainErrorBody", "ErrorBody"),
    ),
    Described(
        "post",
        paths.TEI_TOKENS,
        "show_tokens",
        "Show the tokens of texts, as text-embeddings-inference does",
        ({"type": "array", "items": {"type": "array", "items": ref("TeiToken")}},),
        "TeiTokensBody",
        WORK,
        wrong=("PlainErrorBody",),
    ),
    Described(
        "post",
        paths.TEI_PREDICT,
        "create_predictions",
        "Say how well a model's own labels fit texts, as text-embeddings-inference does",
        (PREDICTIONS, {"type": "array", "items": PREDICTIONS}),
        "TeiPredictBody",
        WORK,
        wrong=("PlainErrorBody",),
    ),
    Described(
        "get",
        paths.TEI_INFO,
        "show_info",
        "What text-embeddings-inference says of its model, of the default one or the one named",
        (ref("TeiInfo"),),
        errors=(400, 401, 403, 404, 500),
        wrong=("PlainErrorBody",),
        query=({"name": "model", "in": "query", "schema": TEXT},),
    ),
    *(
        Described(
            "post",
            names,
            name,
            "Rank documents by relevance to a query",
            (ref("Ranking"), {"type": "array", "items": ref("TeiRank")}, ref("WeaviateRanking")),
            "RerankBody",
            WORK,
            wrong=("ErrorBody", "PlainErrorBody"),
        )
        for names, name in ((paths.RERANK, "create_ranking"), (paths.INFINITY_RERANK, "create_ranking_as_infinity"))
    ),
    Described(
        "post",
        paths.CLASSIFY,
        "create_classifications",
        "Say how well labels fit texts",
        (ref("Classifications"),),
        "ClassifyBody",
        WORK,
    ),
    Described(
        "post",
        paths.EXTRACT,
        "create_extractions",
        "Find the spans of texts that labels fit",
        (ref("Extractions"),),
        "ExtractBody",
        WORK,
    ),
    Described(
        "post",
        paths.CHAT,
        "create_chat_completion",
        "Have a conversation continued, by a model of an upstream; a stream of events where `stream` is true",
        ({"type": "object"},),
        "ChatBody",
        WORK,
        streams=True,
    ),
    Described(
        "post",
        paths.COMPLETIONS,
        "create_completion",
        "Have a text continued, by a model of an upstream; a stream of events where `stream` is true",
        ({"type": "object"},),
        "CompletionBody",
        WORK,
        streams=True,
    ),
    Described(
        "get",
        ("/v1/models", "/models"),
        "list_models",
        "List the models that this key may use",
        (ref("Models"),),
        errors=(401, 403, 500),
    ),
    Described(
        "get",
        ("/v1/models/{id}", "/models/{id}"),
        "show_model",
        "Show one model",
        (ref("Model"),),
        errors=(401, 403, 404, 500),
    ),
    Described(
        "get", ("/health/live",), "show_liveness", "Whether this process runs", (ref("Liveness"),), security=OPEN
    ),
    Described(
        "get",
        ("/health/ready", "/health"),
        "show_readiness",
        "Whether requests can be served",
        (ref("Readiness"),),
        security=OPEN,
    ),
    Described(
        "get",
        ("/metrics",),
        "show_metrics",
        "Prometheus metrics: with the metrics key where one is set, else from this machine only",
        (),
        errors=(401, 404),
        security=({"metricsKey": []}, {}),
        media="text/plain",
    ),
    Described("get", ("/openapi.json",), "show_openapi", "This document", (), security=OPEN),
)
