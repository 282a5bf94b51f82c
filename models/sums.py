"""SHA-256 of model files, and the list of them that a folder of models carries; knows no tensors."""

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path

from audio.errors import ModelError

SUMS_NAME = "SHA256SUMS.json"
_CHUNK = 1 << 20
Progress = Callable[[int, int], None]


def sha256_of(path: Path, progress: Progress | None = None) -> str:
    """SHA-256 of a file in hexadecimal; ``progress`` counts bytes. Raises ModelError if unreadable."""
    digest = hashlib.sha256()
    try:
        total = path.stat().st_size
        with path.open("rb") as file:
            done = 0
            while chunk := file.read(_CHUNK):
                digest.update(chunk)
                done += len(chunk)
                if progress is not None:
                    progress(done, total)
    except OSError as error:
        raise ModelError(f"{path} cannot be read: {error.strerror or error}.") from error
    return digest.hexdigest()


def read_sums(folder: Path) -> dict[str, str]:
    """File name -> SHA-256 of the files that ``folder`` should hold; empty when it carries no list."""
    path = folder / SUMS_NAME
    try:
        files = json.loads(path.read_text(encoding="utf-8"))["files"]
        return {str(name): str(entry["sha256"]) for name, entry in files.items()}
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise ModelError(f"{path} cannot be read: {error.strerror or error}.") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelError(f"{path} is broken: expected {{'files': {{name: {{'sha256': ...}}}}}}.") from error


def write_sums(folder: Path, names: list[str]) -> Path:
    """Record size and SHA-256 of the files ``names`` of ``folder`` in its list, replacing that."""
    files = {name: {"bytes": (folder / name).stat().st_size, "sha256": sha256_of(folder / name)}
             for name in sorted(names)}
    path = folder / SUMS_NAME
    new = path.with_name(f".{SUMS_NAME}.{os.getpid()}.tmp")
    new.write_text(json.dumps({"format": 1, "files": files}, indent=1) + "\n", encoding="utf-8")
    os.replace(new, path)
    return path
