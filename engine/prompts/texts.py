"""Which of a model's own prompts a text gets, and whether it is read as a query or as a document.

As sentence-transformers: `encode` puts the default prompt before a text, `encode_query` the prompt `query`,
`encode_document` the first that there is of DOCUMENT_PROMPTS; where the model has none of these, nothing.
"""

from collections.abc import Mapping
from typing import NamedTuple

from engine.catalog import ModelSpec
from engine.errors import BadRequest
from engine.protocol import EmbedRequest, InputType, ModelWork

DOCUMENT_PROMPTS = ("document", "passage", "corpus")
RETRIEVAL: Mapping[str, InputType] = {
    **dict.fromkeys(("query", "search_query", "retrieval.query", "retrieval_query"), "query"),
    **dict.fromkeys(
        ("document", "passage", "search_document", "retrieval.passage", "retrieval_document", "retrieval_passage"),
        "document",
    ),
}
"""Tasks that every model has, under the names that clients have for them."""


class Reading(NamedTuple):
    """How a text is read."""

    side: InputType | None
    prompt: str


def reading_of(
    spec: ModelSpec, *, input_type: InputType | None = None, task: str | None = None, prompt_name: str | None = None
) -> Reading:
    """The name of a prompt goes before a task, and that before the type of the input.

    Of a model that has nothing but a vector for every token, which reads the two sides apart, a text whose side is not
    said is a document.

    Raises BadRequest, naming those that there are, for the name of a prompt or a task that the model does not have.
    """
    if prompt_name is not None:
        if prompt_name not in spec.prompts:
            raise BadRequest(f"The model has no prompt {prompt_name!r}; it has {_named(spec.prompts)}.")
        return Reading(input_type or RETRIEVAL.get(prompt_name), spec.prompts[prompt_name])
    if task is not None:
        side = RETRIEVAL.get(task.lower())
        own = next((text for name, text in spec.prompts.items() if name.lower() == task.lower()), None)
        if own is None and side is None and task in spec.tasks:
            return Reading(input_type, "")
        if own is None and side is None:
            raise BadRequest(
                f"The model has no prompt for the task {task!r}; it has {_named(spec.prompts)}, and every model has "
                f"the tasks {', '.join(RETRIEVAL)}."
            )
        return Reading(input_type or side, own) if own is not None else reading_of(spec, input_type=side)
    if input_type == "query":
        return Reading("query", spec.prompts.get("query", ""))
    if input_type == "document":
        return Reading("document", next((text for name in DOCUMENT_PROMPTS if (text := spec.prompts.get(name))), ""))
    if spec.outputs == ("multi",):
        return reading_of(spec, input_type="document")
    return Reading(None, spec.default_prompt)


def task_of(spec: ModelSpec, request: ModelWork) -> str | None:
    """Which of the tasks that the model has adapters of its own for a request is about; None: none.

    What chooses a prompt chooses the task, by the task's own name or by that of its side.
    """
    if not spec.tasks or not isinstance(request, EmbedRequest):
        return None
    named = next((name for name in (request.prompt_name, request.task, request.input_type) if name is not None), "")
    side = RETRIEVAL.get(named.lower())
    own = (task for task in spec.tasks if task.lower() == named.lower())
    like = (task for task in spec.tasks if side is not None and RETRIEVAL.get(task) == side)
    return next(own, None) or next(like, None)


def _named(prompts: Mapping[str, str]) -> str:
    return ", ".join(prompts) if prompts else "none"
