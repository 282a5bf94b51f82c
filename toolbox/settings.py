"""What the window remembers between runs, typed, in one ini file; knows no widget."""

from __future__ import annotations

from typing import Any

from PyQt5.QtCore import QByteArray, QSettings

ORGANIZATION = "voice-cloning-toolbox"
APPLICATION = "window"


class Settings:
    """Typed access to the user's settings. A value of another type than the default counts as not there."""

    def __init__(self, store: QSettings | None = None) -> None:
        self._store = store or QSettings(
            QSettings.Format.IniFormat, QSettings.Scope.UserScope, ORGANIZATION, APPLICATION
        )

    def text(self, key: str, default: str = "") -> str:
        value = self._store.value(key)
        return value if isinstance(value, str) else default

    def flag(self, key: str, default: bool = False) -> bool:
        value = self._store.value(key)
        return str(value).lower() == "true" if value is not None else default

    def number(self, key: str, default: int = 0) -> int:
        try:
            return int(self._store.value(key, default))
        except (TypeError, ValueError):
            return default

    def data(self, key: str) -> QByteArray:
        """Bytes, empty when there are none: geometry and splitters."""
        value = self._store.value(key)
        return value if isinstance(value, QByteArray) else QByteArray()

    def set(self, key: str, value: Any) -> None:
        self._store.setValue(key, value)

    def sync(self) -> None:
        """Write now."""
        self._store.sync()
