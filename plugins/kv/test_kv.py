"""The store, against a host in memory."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from kv import plugin

from outboard_plugin import PluginError
from outboard_plugin.testing import FakeHost


@pytest.fixture
def host(tmp_path: Path) -> Iterator[FakeHost]:
    with FakeHost(plugin, config={"path": str(tmp_path / "kv.sqlite"), "max_value": 20}) as host:
        yield host


def test_values_are_kept_and_changes_are_told(host: FakeHost) -> None:
    assert host.call("get", {"key": "a"}) is None
    host.call("set", {"key": "a", "value": {"n": [1, None]}})
    assert host.call("get", {"key": "a"}) == {"n": [1, None]}
    assert host.call("delete", {"key": "a"}) is True
    assert host.call("delete", {"key": "a"}) is False
    assert [event["data"] for event in host.published] == [{"key": "a"}, {"key": "a"}]


def test_keys_are_listed_by_prefix(host: FakeHost) -> None:
    for key in ("b/2", "b/1", "a", "[x"):
        host.call("set", {"key": key, "value": 1})
    assert host.call("list", {"prefix": "b/"}) == ["b/1", "b/2"]
    assert host.call("list", {"prefix": "["}) == ["[x"]
    assert host.call("list", {"limit": 1}) == ["[x"]


def test_a_value_too_long_and_params_of_the_wrong_type_are_refused(host: FakeHost) -> None:
    for params in ({"key": "a", "value": "x" * 30}, {"key": 7, "value": 1}, {"value": 1}):
        with pytest.raises(PluginError) as error:
            host.call("set", params)
        assert error.value.code == -32602


def test_a_new_limit_needs_no_restart_and_another_file_does(host: FakeHost) -> None:
    assert host.change_config({"path": plugin.config.path, "max_value": 100}) is True
    host.call("set", {"key": "a", "value": "x" * 30})
    assert host.change_config({"path": "other.sqlite"}) is False


def test_what_was_set_outlives_the_process(tmp_path: Path) -> None:
    config = {"path": str(tmp_path / "kv.sqlite")}
    with FakeHost(plugin, config=config) as host:
        host.call("set", {"key": "a", "value": 1})
    with FakeHost(plugin, config=config) as host:
        assert host.call("get", {"key": "a"}) == 1
