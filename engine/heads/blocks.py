"""How much of what is made for pairs, of words or of texts with labels, is made together."""

NUMBERS = {"cpu": 2**20, "cuda": 2**25}
"""By kind of device: what stays in a core's cache, what fills a device."""


def block_bytes(itemsize: int, kind: str = "cpu") -> int:
    """Of the numbers of one block: in the network's type, and twice while an activation is made."""
    return 2 * NUMBERS[kind] * itemsize
