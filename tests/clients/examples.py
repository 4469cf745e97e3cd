"""Runs the examples in the documentation of classes, as written but for the addresses."""

import contextlib
import importlib
import inspect
import io
import re
import textwrap

from steps import steps


def example(module, name, replaced):
    """What the example prints. It is the rest of the documentation, from the first import on."""
    text = inspect.getdoc(getattr(importlib.import_module(module), name))
    code = textwrap.dedent(text[re.search(r"^ *(import|from) ", text, re.MULTILINE).start() :])
    for written, meant in replaced.items():
        code = code.replace(written, meant)
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        exec(compile(code, f"{module}.{name}", "exec"), {"__name__": "example"})
    return printed.getvalue()


steps(example)
