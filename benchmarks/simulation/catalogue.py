"""Some hundred models such as people serve: what each takes in memory, from disk, from host memory and per token."""

import math
import random

from engine.protocol import ModelRef
from engine.simulation.fake import FakeSpec

MEDIAN_BYTES = 440e6
"""A base-sized encoder in bfloat16, with its tokenizer."""
SPREAD = 0.9
"""Sigma of the logarithm: two thirds lie between 180 MB and 1.1 GB."""
LEAST, MOST = 45e6, 8e9

DISK = 1.5e9
"""Bytes per second."""
OPENING = 0.4
"""Seconds of every load that do not depend on size."""
BUS = 12e9
"""Bytes per second from pinned host memory."""
MULTIPLIED = 60e12
"""Bytes of bfloat16 weights times tokens, per second: two operations for two bytes, at 60 TFLOPS reached."""
BATCH = 4e-3
"""Seconds of a batch that do not depend on its tokens."""


def catalogue(models: int, seed: int) -> dict[ModelRef, FakeSpec]:
    """The models by popularity, most popular first; size and popularity are independent."""
    source = random.Random(f"catalogue {seed}")
    specs = {}
    for number in range(models):
        size = int(min(max(source.lognormvariate(math.log(MEDIAN_BYTES), SPREAD), LEAST), MOST))
        specs[ModelRef(id=f"model-{number:03}", source="fake")] = FakeSpec(
            bytes=size,
            load_seconds=OPENING + size / DISK,
            restore_seconds=size / BUS,
            seconds_per_token=size / MULTIPLIED,
            seconds_per_batch=BATCH,
            number=number,
        )
    return specs
