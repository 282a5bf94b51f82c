"""Atomic writing of small text files; knows nothing of what is in them."""

from __future__ import annotations

import os
from pathlib import Path


def temporary_sibling(path: Path) -> Path:
    """A name beside ``path`` for a file that will replace it; the process id keeps parallel writers apart."""
    return path.with_name(f".{path.stem}.{os.getpid()}.tmp{path.suffix}")


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 so that a kill leaves the old file or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = temporary_sibling(path)
    try:
        partial.write_text(text, encoding="utf-8", newline="")
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)
