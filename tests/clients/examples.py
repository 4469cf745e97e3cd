"""Runs examples: of pages, and of the documentation of classes, as written but for addresses."""

import contextlib
import importlib
import inspect
import io
import re
import textwrap

from steps import steps


def example(module, name, replaced):
    """What the example of a class prints. It is the rest of its documentation, from the first import on."""
    text = inspect.getdoc(getattr(importlib.import_module(module), name))
    code = textwrap.dedent(text[re.search(r"^ *(import|from) ", text, re.MULTILINE).start() :])
    for word, meant in replaced.items():
        code = code.replace(word, meant)
    return written(code, f"{module}.{name}")


def written(code, place):
    """What this code prints."""
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        exec(compile(code, place, "exec"), {"__name__": "example"})
    return printed.getvalue()


steps(example, written)
