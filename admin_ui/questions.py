"""What an operator wants to try, read from the playground's form: the body of a request to the API. Pure."""

from typing import Any

from admin_ui.forms import Form
from admin_ui.snippets import Call, Task

PATHS: dict[Task, str] = {
    "embed": "/v1/embeddings",
    "rerank": "/v1/rerank",
    "classify": "/v1/classify",
    "extract": "/v1/extract",
}
MOST_TEXTS = 16
"""As many as a matrix can show; the API itself takes more."""
KINDS = (("", "as the model takes it"), ("query", "queries"), ("document", "documents"))
KIND_NAMES = tuple(name for name, _ in KINDS)
EXAMPLES: dict[Task, dict[str, str]] = {
    "embed": {
        "texts": "Small fish swim in shoals.\nHerring move together as one.\nThe court adjourned until Monday.",
        "kind": "",
        "dimensions": "",
    },
    "rerank": {
        "query": "Why do small fish swim together?",
        "texts": "A shoal confuses whoever hunts in it.\nThe bank opens at nine.\nHerring follow those beside them.",
    },
    "classify": {"texts": "The delivery came two weeks late.", "labels": "complaint\npraise\nquestion", "several": ""},
    "extract": {
        "texts": "Ada Lovelace met Charles Babbage in London in June 1833.",
        "labels": "person\nplace\ndate",
        "threshold": "",
    },
}


def read_question(form: Form, task: Task) -> tuple[Call, list[str]]:
    """The request, and the texts that its answer is about. What is wrong with it is said in the form."""
    body: dict[str, Any] = {"model": form.text("model")}
    texts = [form.text("texts", most=20_000).replace("\r\n", "\n")] if task == "extract" else list(form.lines("texts"))
    if not texts:
        form.refuse("texts", "Type a text, or several, each in a line of its own.")
    if len(texts) > MOST_TEXTS:
        form.refuse("texts", f"These are {len(texts)} texts; {MOST_TEXTS} at once can be shown here.")
    if task == "rerank":
        body |= {"query": form.text("query", most=20_000), "documents": texts}
    else:
        body["input"] = texts
    body |= _options(form, task)
    return Call(task, PATHS[task], body), texts


def _options(form: Form, task: Task) -> dict[str, Any]:
    """What may be left out, and is unless somebody says something."""
    asked: dict[str, Any] = {}
    if task == "embed":
        asked["input_type"] = form.one_of("kind", KIND_NAMES) or None
        asked["dimensions"] = form.whole("dimensions", at_least=1, at_most=100_000)
    if task in {"classify", "extract"}:
        asked["labels"] = list(dict.fromkeys(form.lines("labels"))) or None
    if task == "classify":
        asked["multi_label"] = form.ticked("several") or None
    if task == "extract":
        asked["threshold"] = form.number("threshold", at_least=0, at_most=1)
    return {name: value for name, value in asked.items() if value is not None}
