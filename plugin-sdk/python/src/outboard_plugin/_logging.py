"""The standard `logging`, to the host."""

from __future__ import annotations

import logging
from typing import Any

from .errors import PluginError
from .host import Host, Level

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
_LONGEST = 64 << 10


class HostHandler(logging.Handler):
    """Sends records as `$/log`: level, message with its traceback, logger, and what `extra` brought as fields."""

    def __init__(self, host: Host) -> None:
        super().__init__()
        self._host = host

    def emit(self, record: logging.LogRecord) -> None:
        try:
            params: dict[str, Any] = {
                "level": _level(record.levelno),
                "message": self.format(record)[:_LONGEST],
                "logger": record.name,
            }
            fields = {k: _plain(v) for k, v in vars(record).items() if k not in _STANDARD}
            if fields:
                params["fields"] = fields
            try:
                self._host._outlet.notify("$/log", params)
            except PluginError:
                del params["fields"]
                self._host._outlet.notify("$/log", params)
        except Exception:
            self.handleError(record)


def _level(number: int) -> Level:
    if number >= logging.ERROR:
        return "error"
    if number >= logging.WARNING:
        return "warn"
    if number >= logging.INFO:
        return "info"
    return "debug" if number >= logging.DEBUG else "trace"


def _plain(value: Any) -> Any:
    return value if value is None or isinstance(value, (bool, int, str)) else str(value)
