"""Starts the window: arguments, display, application, and its parts joined. Exit codes: 0 left, 2 no display."""

from __future__ import annotations

import argparse
import gc
import logging
import os
import signal
import socket
import sys
import threading
import traceback
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from models.environment import prepare_environment

if TYPE_CHECKING:
    from PyQt5.QtWidgets import QApplication

    from toolbox.controller import Controller
    from toolbox.model_choice import Models
    from toolbox.sound_desk import Audio
    from toolbox.views.main_window import MainWindow

log = logging.getLogger(__name__)

SWITCH_SECONDS = 0.001
"""A thread that computes in Python gives way to the window after this time rather than after 5 ms."""
OWN_PACKAGES = ("audio", "encoder", "models", "synthesizer", "toolbox", "vocoder")


def build_parser() -> argparse.ArgumentParser:
    """The arguments of demo_toolbox.py."""
    parser = argparse.ArgumentParser(prog="demo_toolbox.py", description="The voice cloning toolbox in a window.")
    parser.add_argument("-d", "--datasets_root", type=Path, metavar="FOLDER",
                        help="folder of datasets, to browse by speaker (default: the last one)")
    parser.add_argument("-m", "--models_dir", type=Path, action="append", metavar="FOLDER",
                        help="further folder with models, searched first")
    parser.add_argument("--cpu", action="store_true", help="use the CPU even where there is a GPU")
    parser.add_argument("--seed", type=int, help="the same seed gives the same samples")
    parser.add_argument("--verbose", action="store_true", help="tell on the terminal what happens")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Open the window and stay until it is closed; returns the exit code."""
    prepare_environment()
    sys.setswitchinterval(SWITCH_SECONDS)
    args = build_parser().parse_args(argv)
    logging.basicConfig(
        level=logging.INFO if args.verbose else logging.ERROR, format="%(levelname)s %(name)s: %(message)s"
    )
    for folder in (args.datasets_root, *(args.models_dir or ())):
        if folder is not None and not folder.is_dir():
            print(f"demo_toolbox.py: the folder {folder} does not exist", file=sys.stderr)
            return 2
    problem = display_problem()
    if problem:
        print(f"demo_toolbox.py: {problem}; demo_cli.py does the same without a window.", file=sys.stderr)
        return 2
    return run(args)


def display_problem() -> str:
    """Why no window can open here, "" when one can. Qt itself would end the process without a word to the user."""
    try:
        import PyQt5.QtWidgets  # noqa: F401
    except ImportError as error:
        return f"the window needs PyQt5 and its system libraries ({error})"
    from toolbox.doctor import display_name

    if os.environ.get("QT_QPA_PLATFORM", "").split(":")[0] in ("offscreen", "minimal", "vnc", "linuxfb", "eglfs"):
        return ""
    if not display_name():
        return "there is no display (DISPLAY is not set)"
    if sys.platform.startswith("linux") and not os.environ.get("WAYLAND_DISPLAY"):
        return _x11_problem(os.environ["DISPLAY"])
    return ""


def _x11_problem(display: str) -> str:
    import ctypes

    try:
        xcb = ctypes.CDLL("libxcb.so.1")
    except OSError:
        return "the system library libxcb1 is missing (apt install libxcb1)"
    xcb.xcb_connect.restype = ctypes.c_void_p
    connection = ctypes.c_void_p(xcb.xcb_connect(display.encode(), None))
    refused = bool(xcb.xcb_connection_has_error(connection))
    xcb.xcb_disconnect(connection)
    if refused:
        return f"the display {display} cannot be reached"
    from toolbox.doctor import NOTE, check_libraries

    return next((finding.message.rstrip(".") for finding in check_libraries() if finding.status == NOTE), "")


def make_application() -> QApplication:
    """The application with its style, ready for high resolutions."""
    from PyQt5.QtCore import QCoreApplication, Qt
    from PyQt5.QtGui import QGuiApplication
    from PyQt5.QtWidgets import QApplication

    existing = QApplication.instance()
    if isinstance(existing, QApplication):
        return existing
    for attribute in (Qt.ApplicationAttribute.AA_EnableHighDpiScaling, Qt.ApplicationAttribute.AA_UseHighDpiPixmaps):
        QCoreApplication.setAttribute(attribute)
    # An X server tells the size of its screen in millimetres, often wrongly: 100 dpi is no reason to blur everything.
    policy = Qt.HighDpiScaleFactorRoundingPolicy
    exact = sys.platform in ("win32", "darwin")
    QGuiApplication.setHighDpiScaleFactorRoundingPolicy(policy.PassThrough if exact else policy.Round)
    app = QApplication(sys.argv[:1])
    app.setApplicationName("Voice cloning toolbox")
    app.setStyle("Fusion")
    return app


class Program:
    """The window with everything behind it. ``open`` shows it; ``close`` ends what runs."""

    def __init__(
        self,
        *,
        datasets_root: Path | None = None,
        models_dir: Sequence[Path] = (),
        cpu: bool = False,
        seed: int | None = None,
        models: Models | None = None,
        audio: Audio | None = None,
        data: Path | None = None,
    ) -> None:
        from PyQt5.QtCore import QTimer

        from toolbox import theme
        from toolbox.controller import Controller
        from toolbox.model_choice import Models
        from toolbox.recovery import Recovery
        from toolbox.session import user_data_dir
        from toolbox.settings import Settings
        from toolbox.state import ToolboxState
        from toolbox.views.main_window import MainWindow
        from toolbox.wiring import Wiring

        self.keep_session = False
        self.app = make_application()
        self.settings = Settings()
        theme.apply_theme(self.app, self.settings.text("theme", theme.SYSTEM))
        self.state = ToolboxState()
        for name in ("trim_silences", "auto_next", "auto_play"):
            self.state.set_option(name, self.settings.flag(f"option/{name}", getattr(self.state, name)))
        self.state.set_option("speed_percent", self.settings.number("option/speed_percent", 100))
        if seed is not None:
            self.state.set_option("seed", seed)
            self.state.set_option("use_seed", True)
        folder = data or user_data_dir()
        self.controller: Controller = Controller(
            self.state, self.settings, models or Models(tuple(models_dir)), folder,
            device="cpu" if cpu else None, audio=audio, seed=seed,
        )
        self.window: MainWindow = MainWindow(self.state, self.settings)
        self.recovery = Recovery(self.state, self.controller, folder / "sessions")
        self.wiring = Wiring(self.window, self.controller, self.recovery)
        self._root = datasets_root or self.settings.text("corpus")
        # Counted from the first turn of the event loop, so that the window is painted first.
        self._starter = QTimer(self.window)
        self._starter.setSingleShot(True)
        self._starter.timeout.connect(self._start)

    def open(self) -> None:
        """Show the window; models, devices, folders and matplotlib follow once it is on the screen."""
        self.window.show()
        self._starter.start(50)

    def _start(self) -> None:
        # A full collection between two imports holds the interpreter's lock for 100 to 300 ms.
        gc.disable()
        self.recovery.start()
        # One after the other: each thread that imports takes its turn with the interpreter from this one.
        self.controller.start().finished.connect(self._load_canvas)
        if self._root and Path(self._root).is_dir():
            self.controller.corpus.open(self._root)

    def _load_canvas(self) -> None:
        # Read by a worker: importing matplotlib here would stop the window for a second or more.
        task = self.controller.submit("Loading matplotlib", lambda job: import_module("toolbox.views.map_canvas"))
        task.succeeded.connect(lambda _: self.window.comparison_panel.start_canvas())
        task.finished.connect(self._settle)

    def _settle(self) -> None:
        # What the imports made stays for good: no collection has to look at it again.
        gc.freeze()
        gc.enable()

    def close(self) -> bool:
        """End all work and forget the window; False when a thread would not stop."""
        self._starter.stop()
        self.window.hide()
        self.settings.sync()
        stopped = all([self.recovery.shutdown(self.keep_session), self.controller.shutdown()])
        self.window.deleteLater()
        gc.unfreeze()
        gc.enable()
        return stopped


def run(args: argparse.Namespace, **parts: Any) -> int:
    """The program from its arguments to its end."""
    from PyQt5.QtCore import QEventLoop

    program = Program(
        datasets_root=args.datasets_root, models_dir=args.models_dir or (), cpu=args.cpu, seed=args.seed, **parts
    )
    reports = _Reports(program)
    # A loop of its own: one that belongs to the application ends when any last window closes, a dialog's too.
    program.app.setQuitOnLastWindowClosed(False)
    loop = QEventLoop()
    program.window.closed.connect(loop.quit)
    program.app.aboutToQuit.connect(loop.quit)
    program.open()
    loop.exec_()
    reports.uninstall()
    if not program.close():
        # A compiler or a driver that cannot be interrupted; everything is written, so nothing is lost.
        logging.shutdown()
        os._exit(0)
    return 0


class _Reports:
    """Brings log records, forgotten exceptions and signals of the system to the window."""

    def __init__(self, program: Program) -> None:
        from PyQt5.QtCore import QObject, QSocketNotifier, pyqtSignal

        class Bridge(QObject):
            record = pyqtSignal(str, str, str)
            broken = pyqtSignal(str, str)

        self._program = program
        self._bridge = Bridge()
        self._bridge.record.connect(self._log)
        self._bridge.broken.connect(program.controller.error_raised)
        self._handler = _Handler(self._bridge.record.emit)
        self._root = logging.getLogger()
        self._root.addHandler(self._handler)
        self._levels = {name: logging.getLogger(name).level for name in OWN_PACKAGES}
        for name in OWN_PACKAGES:
            logging.getLogger(name).setLevel(logging.INFO)
        self._hooks = sys.excepthook, threading.excepthook
        # Qt ends the process on an exception in a slot unless somebody takes it.
        sys.excepthook = self._broken
        threading.excepthook = lambda args: self._broken(args.exc_type, args.exc_value, args.exc_traceback)
        self._reader, self._writer = socket.socketpair()
        self._writer.setblocking(False)
        self._old_fd = signal.set_wakeup_fd(self._writer.fileno())
        self._old_signals = {
            number: signal.signal(number, lambda *_: None) for number in (signal.SIGINT, signal.SIGTERM)
        }
        self._notifier = QSocketNotifier(
            self._reader.fileno(), QSocketNotifier.Type.Read, self._bridge  # type: ignore[arg-type]  # Stubs: voidptr.
        )
        self._notifier.activated.connect(self._signalled)

    def uninstall(self) -> None:
        self._notifier.setEnabled(False)
        signal.set_wakeup_fd(self._old_fd)
        for number, handler in self._old_signals.items():
            signal.signal(number, handler)
        self._reader.close()
        self._writer.close()
        sys.excepthook, threading.excepthook = self._hooks
        self._root.removeHandler(self._handler)
        for name, level in self._levels.items():
            logging.getLogger(name).setLevel(level)

    def _log(self, level: str, text: str, details: str) -> None:
        self._program.state.add_log(level, text, details)

    def _signalled(self) -> None:
        self._reader.recv(64)
        # Nobody could be asked: what is not exported comes back with the next start.
        self._program.keep_session = True
        self._program.window.close_now()

    def _broken(self, kind: Any, error: Any, trace: Any) -> None:
        details = "".join(traceback.format_exception(kind, error, trace))
        log.error("unexpected: %s", error, exc_info=(kind, error, trace))
        self._bridge.broken.emit(f"Something went wrong that should not: {kind.__name__}: {error}", details)


class _Handler(logging.Handler):
    """Passes what a user can make something of to the window's log."""

    def __init__(self, emit: Any) -> None:
        super().__init__(logging.INFO)
        self._emit = emit

    def emit(self, record: logging.LogRecord) -> None:
        own = record.name.split(".")[0] in OWN_PACKAGES
        if record.levelno < (logging.INFO if own else logging.WARNING):
            return
        level = "error" if record.levelno >= logging.ERROR else "warning" if record.levelno > logging.INFO else "info"
        details = "".join(traceback.format_exception(*record.exc_info)) if record.exc_info else ""
        try:
            self._emit(level, record.getMessage(), details)
        except RuntimeError:  # The window has gone.
            return
