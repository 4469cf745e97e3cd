"""What comes after a body, once for all families: pooling, normalising, scoring."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from engine.configs.head_spec import HeadSpec
from engine.heads.answer import AnswerHead
from engine.heads.blocks import block_bytes
from engine.heads.dense import DenseHead, dense_keys
from engine.heads.gliclass import GliclassHead, gliclass_keys
from engine.heads.gliner import GlinerHead, gliner_keys
from engine.heads.part import Head
from engine.heads.scores import SEQUENCE, TOKENS, SequenceHead, TokenHead, scorer_keys
from engine.heads.token_vectors import TokenVectorsHead, token_vectors_keys
from engine.heads.token_weights import TokenWeightsHead, token_weights_keys
from engine.heads.vocabulary import VocabularyHead, vocabulary_bytes, vocabulary_keys
from engine.models import FAMILIES
from engine.weights import KeyMap


@dataclass(frozen=True, slots=True)
class HeadKind:
    """How to build one kind of head; parameters are left unset."""

    build: Callable[[HeadSpec, Mapping[str, Any]], Head]
    """From what the folder says of the head, and the network's config."""
    keys: Callable[[HeadSpec], KeyMap]
    """How the checkpoint names its tensors."""
    bytes: Callable[[HeadSpec, Mapping[str, Any], int, int], int] = lambda spec, config, tokens, itemsize: 0  # noqa: ARG005
    """What it takes of memory beside the body's, of so many tokens and of numbers of so many bytes: what is more than
    the body has given back by then."""


HEADS: Mapping[str, HeadKind] = {
    "pooled": HeadKind(lambda spec, config: DenseHead(spec), dense_keys),  # noqa: ARG005
    "vocabulary": HeadKind(
        lambda spec, config: VocabularyHead(spec, config, FAMILIES[spec.settings["family"]].words),
        vocabulary_keys,
        vocabulary_bytes,
    ),
    "token_weights": HeadKind(lambda spec, config: TokenWeightsHead(config), token_weights_keys),  # noqa: ARG005
    "token_vectors": HeadKind(lambda spec, config: TokenVectorsHead(spec), token_vectors_keys),  # noqa: ARG005
    "sequence": HeadKind(SequenceHead, lambda spec: scorer_keys(SEQUENCE[spec.settings["family"]])),
    "tokens": HeadKind(TokenHead, lambda spec: scorer_keys(TOKENS[spec.settings["family"]])),
    "answer": HeadKind(lambda spec, config: AnswerHead(spec, config["hidden_size"]), lambda spec: KeyMap()),  # noqa: ARG005
    "gliner": HeadKind(GlinerHead, gliner_keys, lambda spec, config, tokens, itemsize: block_bytes(itemsize)),  # noqa: ARG005
    "gliclass": HeadKind(GliclassHead, gliclass_keys, lambda spec, config, tokens, itemsize: block_bytes(itemsize)),  # noqa: ARG005
}
"""By `HeadSpec.kind`."""
