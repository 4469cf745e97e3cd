"""A fleet to look at: a real gateway with its console, nodes that only say that they have devices, and a month of use.

`python -m demo` serves it; `python -m demo.screenshots` makes pictures of every page of its console.
"""
