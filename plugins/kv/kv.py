"""A key-value store for other plugins: small JSON values in one SQLite file, which outlives every restart."""

from __future__ import annotations

import json
import logging
import sqlite3
import threading
from dataclasses import dataclass
from typing import Any

from outboard_plugin import InvalidParams, Plugin

log = logging.getLogger("kv")


@dataclass
class Config:
    path: str = "kv.sqlite"
    #: Bytes of the longest value, as JSON.
    max_value: int = 64 << 10


@dataclass
class Key:
    key: str


@dataclass
class Entry:
    key: str
    value: Any


@dataclass
class Listing:
    prefix: str = ""
    limit: int = 100


class Store:
    """One connection for all threads, one at a time: SQLite writes one at a time anyway."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._db = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute(
            "CREATE TABLE IF NOT EXISTS kv (key TEXT PRIMARY KEY, value TEXT NOT NULL)"
        )

    def run(self, sql: str, *args: Any) -> list[Any]:
        with self._lock:
            return self._db.execute(sql, args).fetchall()

    def close(self) -> None:
        with self._lock:
            self._db.close()


plugin = Plugin("kv", "1.0.0", config=Config)
plugin.publishes("kv.changed")
store: Store


@plugin.on_start
def start() -> None:
    global store
    store = Store(plugin.config.path)
    log.info(
        "%s is open", plugin.config.path, extra={"keys": store.run("SELECT count(*) FROM kv")[0][0]}
    )


@plugin.on_config
def changed() -> bool:
    """A new limit holds from the next call on; for another file the host starts the plugin anew."""
    return plugin.config.path == store.path


@plugin.on_shutdown
def shutdown() -> None:
    store.close()


@plugin.method(idempotent=True)
def get(params: Key) -> Any:
    """The value of a key; null where there is none."""
    found = store.run("SELECT value FROM kv WHERE key = ?", params.key)
    return json.loads(found[0][0]) if found else None


@plugin.method("set", idempotent=True)
def set_(params: Entry) -> None:
    """Sets a key, or changes its value."""
    text = json.dumps(params.value)
    if len(text) > plugin.config.max_value:
        raise InvalidParams(
            f"the value has {len(text)} bytes; {plugin.config.max_value} are allowed"
        )
    store.run("INSERT OR REPLACE INTO kv VALUES (?, ?)", params.key, text)
    announce(params.key)


@plugin.method(idempotent=True)
def delete(params: Key) -> bool:
    """Removes a key. Gives whether it was there."""
    removed = store.run("DELETE FROM kv WHERE key = ? RETURNING key", params.key)
    if removed:
        announce(params.key)
    return bool(removed)


@plugin.method("list", idempotent=True)
def list_(params: Listing) -> list[str]:
    """The keys that begin with a prefix, in order."""
    pattern = "".join(f"[{c}]" if c in "*?[" else c for c in params.prefix) + "*"
    found = store.run(
        "SELECT key FROM kv WHERE key GLOB ? ORDER BY key LIMIT ?", pattern, params.limit
    )
    return [key for (key,) in found]


def announce(key: str) -> None:
    # Only where the manifest lets it: the host would refuse, and log each refusal.
    if plugin.host.capabilities.get("publish"):
        plugin.host.publish_nowait("kv.changed", {"key": key})


if __name__ == "__main__":
    plugin.run()
