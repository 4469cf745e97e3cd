"""Every case, one file per family."""

from benchmarks.families.case import Case
from benchmarks.families.cases import bert

CASES: tuple[Case, ...] = (*bert.CASES,)
