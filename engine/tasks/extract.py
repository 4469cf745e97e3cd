"""Extract: the spans of a text that labels fit; those of the request, or the model's own."""

from engine.errors import BadRequest
from engine.protocol import ExtractReply, ExtractRequest
from engine.tasks.asking import head_of, unable
from engine.tasks.label_spans import label_spans
from engine.tasks.running import Running
from engine.tasks.token_labels import label_tokens


async def extract(running: Running, request: ExtractRequest) -> ExtractReply:
    """The spans of every input."""
    if not request.inputs:
        raise BadRequest("There is nothing to read: the list of inputs is empty.")
    async with running.visit(request) as visit:
        if (head := head_of(visit.model.spec, "spans")) is not None:
            return await label_spans(visit, request, head)
        if head_of(visit.model.spec, "token_scores") is not None:
            return await label_tokens(visit, request)
        raise unable(visit.model.spec, "extract")
