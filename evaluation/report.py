"""Figures as tables and pages; knows nothing of how they came about."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

logger = logging.getLogger(__name__)

Cell = str | tuple[float | None, int]
"""Text, or a number with its digits after the point."""
UNKNOWN = "–"


def cell(value: Cell) -> str:
    """As it stands in a table."""
    if isinstance(value, str):
        return value
    number, digits = value
    return UNKNOWN if number is None else f"{number:.{digits}f}"


def table(head: Sequence[str], rows: Sequence[Sequence[Cell]]) -> str:
    """A Markdown table: the first column is text, the others are numbers."""
    lines = [[*head], ["---", *["---:"] * (len(head) - 1)], *([cell(value) for value in row] for row in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


@contextmanager
def progress_bar(label: str) -> Iterator[Callable[[int, int], None]]:
    """A progress callback that draws a labelled bar on a terminal; elsewhere the log says what has begun."""
    from tqdm import tqdm

    if not sys.stderr.isatty():
        logger.info("%s", label)

    with tqdm(total=0, desc=label, disable=None, file=sys.stderr) as bar:

        def show(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        yield show
