"""The table of families.

python -m benchmarks families [FAMILY …] [--rounds 5] [--name families] [--dry]
"""

import argparse
import logging
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec
import torch

from benchmarks import machine
from benchmarks.families.case import Case
from benchmarks.families.cases import CASES, HEAD_CASES
from benchmarks.families.checks import INVARIANCE, PARITY, Checked
from benchmarks.families.speed import ARRIVAL, MEAN, PACKED, SORTED, TEXTS, TOGETHER, measure
from benchmarks.processes import NotMeasurable
from benchmarks.report import Report, Table, publish, shown
from benchmarks.rounds import Spread, ratio
from engine.models import FAMILIES

COMMAND = "python -m benchmarks families"


class Found(msgspec.Struct, frozen=True):
    """What one case showed: greatest absolute differences in float32."""

    family: str
    variant: str
    oracle: str
    parity: float
    invariance: float
    permutation: float
    native: bool


def main(arguments: list[str]) -> None:
    """Check, measure, print, and keep the results unless the run is dry. Raises NotMeasurable where a check fails."""
    options = argparse.ArgumentParser(prog=COMMAND)
    options.add_argument("families", nargs="*", metavar="FAMILY", help=f"of {', '.join(dict.fromkeys(_names()))}")
    options.add_argument("--rounds", type=int, default=5, help="of the measurement of speed; 0: none")
    options.add_argument("--name", default="families", help="of the files in results/")
    options.add_argument("--dry", action="store_true", help="print only")
    chosen = options.parse_args(arguments)
    if unknown := set(chosen.families) - set(_names()):
        options.error(f"no family is called {', '.join(sorted(unknown))}")
    logging.getLogger("transformers").setLevel(logging.ERROR)
    cases = [case for case in (*CASES, *HEAD_CASES) if not chosen.families or case.family in chosen.families]
    here, threads = machine.describe(), torch.get_num_threads()
    found = [_check(case) for case in cases]
    speeds = {case.family: _speed(case, chosen.rounds, threads) for case in cases if chosen.rounds and case.wide}
    report = Report(
        name=chosen.name,
        title="Families: right, and how fast",
        command=" ".join((COMMAND, *arguments)),
        machine=here,
        tables=tables(found, speeds),
        numbers={"cases": found, "tokens_per_second": speeds},
    )
    publish(report, keep=not chosen.dry)
    if wrong := [f"{one.family}: {one.variant}" for one in found if not _is_right(one)]:
        raise NotMeasurable(f"Not right: {', '.join(wrong)}.")


def tables(found: Sequence[Found], speeds: Mapping[str, Mapping[str, Spread]]) -> list[Table]:
    """A row for each family, then one for each case."""
    return [
        Table(
            "Families",
            ("family", "cases", "parity", "alone or in company", "order", "native", *_SPEED_COLUMNS),
            [
                _row([one for one in found if one.family == family], speeds.get(family, {}))
                for family in dict.fromkeys(one.family for one in found)
            ],
            f"Greatest absolute difference in float32 over all cases, of hidden states and of what the heads of GLiNER "
            f"and GLiClass say: from the reference (limit "
            f"{PARITY:.0e}), of a text alone from itself in a mixed batch, and of a batch from itself in another order "
            f"(limits {INVARIANCE:.0e}). Native: unpadded, by the engine's own code. Speed: {TEXTS} texts of "
            f"log-normal length (mean {MEAN:.0f} tokens) through a shape of width 384 with 6 layers, all cores on one "
            f"pass; the library pads {TEXTS} at once as they arrive, or sorts them and pads {TOGETHER} at once. A "
            "dash: no library runs it without remote code.",
        ),
        Table(
            "Cases",
            ("case", "compared with", "parity", "alone or in company", "order"),
            [(f"{one.family}: {one.variant}", one.oracle, *_differences([one])) for one in found],
        ),
    ]


_SPEED_COLUMNS = ("packed, tokens/s", "over arrival order", "over sorted")


def _row(found: Sequence[Found], speed: Mapping[str, Spread]) -> Sequence[str]:
    native = "yes" if all(one.native for one in found) else "no"
    speeds = ("-",) * len(_SPEED_COLUMNS)
    if speed:
        over = [f"{shown(ratio(speed[PACKED], speed[other]), '.2f')} times" for other in (ARRIVAL, SORTED)]
        speeds = (shown(speed[PACKED]), *over)
    return (found[0].family, str(len(found)), *_differences(found), native, *speeds)


def _differences(found: Sequence[Found]) -> Sequence[str]:
    greatest = (max(getattr(one, kind) for one in found) for kind in ("parity", "invariance", "permutation"))
    return [f"{difference:.1e}" for difference in greatest]


def _check(case: Case) -> Found:
    print(case.name, file=sys.stderr, flush=True)
    with tempfile.TemporaryDirectory() as folder:
        checked = Checked.open(case, Path(folder))
        return Found(
            case.family,
            case.variant,
            case.oracle,
            checked.parity(),
            checked.invariance(),
            checked.permutation(),
            checked.model.spec.family in FAMILIES,
        )


def _is_right(one: Found) -> bool:
    return one.parity <= PARITY and max(one.invariance, one.permutation) <= INVARIANCE and one.native


def _speed(case: Case, rounds: int, threads: int) -> Mapping[str, Spread]:
    print(f"{case.family}: speed", file=sys.stderr, flush=True)
    with tempfile.TemporaryDirectory() as folder:
        return measure(case, Path(folder), rounds, threads)


def _names() -> list[str]:
    return [case.family for case in (*CASES, *HEAD_CASES)]
