"""Texts to measure with: mixed lengths, the same ones for the same seed on every machine.

Lengths follow a log-normal law, as search queries, titles and passages together do: most are short, a few are long, and
a server that pads pays for the long ones. They are counted in the starter model's tokens, its two special ones
included; the words are grouped by how many pieces its WordPiece vocabulary cuts them into, so no tokenizer is needed.
"""

import math
import random
from statistics import NormalDist

SHORTEST, LONGEST = 4, 256
FIXED_TOKENS = 3
"""The two special tokens and the full stop."""
SPREAD = 0.7
"""Standard deviation of the logarithm of a length."""

_COMMON = """
the of and to in a is that for it was on with as by at from are this be which or had not but were have an they one
their all she there would been if more when what who so said about out up into than them can only other new some could
time these two may then do first any my now such like our over man even most made after also did many before must
through back years where much your way well down should because each just those people too little state good very make
world still own see men work long get here between both life being under never day same another know while last might
us great old year off come since against go came right used take three
"""
_RARER = """
coast river harbour winter market tender engine signal copper timber ledger kernel orchard granite lantern meadow
parcel quarry saddle turbine vessel whistle bakery cellar dialect estuary freight glacier inlet kettle lagoon narrows
otter pasture rudder tidal vineyard warden yeast approximately municipality infrastructure unpredictable semiconductor
"""
_TWO_PIECES = """
thicket hinge jetty mooring quill shoal uplands herringbone plankton tideline seagrass driftwood shoaling kelp
anchorages spillway
"""
_THREE_PIECES = """
zephyr unladen waterlogged backfilled crosswinds fishmonger buoyancy sandbanks trawlers mudflats barnacles brackish
photosynthesis
"""

_VOCABULARY = ((_COMMON, 1, 0.70), (_RARER, 1, 0.18), (_TWO_PIECES, 2, 0.08), (_THREE_PIECES, 3, 0.04))
"""Words, pieces of each, share of the words in a text."""


def lengths(count: int, *, mean: float = 20.0, seed: int = 0) -> list[int]:
    """Token counts of `count` texts in shuffled order.

    They are the quantiles of the law rather than draws from it, so that even a short list has its mean and its tail.
    """
    centre = math.log(mean) - SPREAD * SPREAD / 2
    law = NormalDist(centre, SPREAD)
    quantiles = (math.exp(law.inv_cdf((place + 0.5) / count)) for place in range(count))
    counts = [min(LONGEST, max(SHORTEST, round(length))) for length in quantiles]
    random.Random(seed).shuffle(counts)  # noqa: S311  reproducible on purpose
    return counts


def texts(count: int, *, mean: float = 20.0, seed: int = 0) -> list[str]:
    """`count` texts whose token counts are `lengths(count, mean=mean, seed=seed)`."""
    choice = random.Random(seed + 1)  # noqa: S311  reproducible on purpose
    kinds = [(words.split(), pieces) for words, pieces, _ in _VOCABULARY]
    shares = [share for _, _, share in _VOCABULARY]

    def text(room: int) -> str:
        chosen = []
        while room:
            words, pieces = choice.choices(kinds, shares)[0]
            if pieces <= room:
                chosen.append(choice.choice(words))
                room -= pieces
        return " ".join(chosen).capitalize() + "."

    return [text(tokens - FIXED_TOKENS) for tokens in lengths(count, mean=mean, seed=seed)]
