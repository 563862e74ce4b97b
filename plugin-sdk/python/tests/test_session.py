"""Whole sessions in memory, by the test kit that authors use."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import threading
from dataclasses import dataclass, field
from typing import Any, Literal, Optional

import pytest

from outboard_plugin import Call, Event, InvalidParams, Plugin, PluginError, current_call
from outboard_plugin.testing import FakeHost, Pending


@dataclass
class Settings:
    unit: Literal["m", "ft"]
    depth: int = 3
    names: list[str] = field(default_factory=list)
    limit: float | None = None


@dataclass
class Sum:
    a: int
    b: int


def test_an_echo_and_its_opening() -> None:
    plugin = Plugin("echo", "1.2.3", concurrency=3, idempotency_keys=True)
    plugin.method("echo", lambda params: params)

    @plugin.method(idempotent=True, timeout=2)
    def add(params: Sum) -> int:
        """Adds."""
        return params.a + params.b

    with FakeHost(plugin) as host:
        assert host.call("echo", {"a": [1, None, "ż\u2028"]}) == {"a": [1, None, "ż\u2028"]}
        assert host.call("add", {"a": 2, "b": 40}) == 42
        assert host.ping() == {}
    opening = host.opening
    assert (opening["name"], opening["version"], opening["concurrency"]) == ("echo", "1.2.3", 3)
    assert opening["methods"]["echo"] == {}
    about = opening["methods"]["add"]
    assert (about["idempotent"], about["timeoutMs"], about["description"]) == (True, 2000, "Adds.")
    assert about["params"]["required"] == ["a", "b"]
    assert opening["supports"] == {
        "drain": False,
        "configReload": False,
        "progress": True,
        "cancel": True,
        "idempotency": True,
        "meta": True,
    }


def test_no_common_version_is_refused() -> None:
    with FakeHost(Plugin("p")) as host:
        with pytest.raises(PluginError) as again:
            host.request("initialize", {"protocolVersions": [1]})
    assert again.value.code == -32600
    # One idempotent method says nothing about the others.
    assert host.opening["supports"]["idempotency"] is False
    host = FakeHost(Plugin("p"))
    host._thread.start()
    with pytest.raises(PluginError) as refused:
        host.request("initialize", {"protocolVersions": [999]})
    assert (refused.value.code, refused.value.data) == (-31010, {"supported": [1]})
    assert host.request("initialize", {"protocolVersions": [999, 1], "future": []})["name"] == "p"
    host.close()


def test_configuration_is_typed() -> None:
    plugin = Plugin("p", config=Settings)
    with FakeHost(plugin, config={"unit": "m", "names": ["a"]}):
        assert plugin.config == Settings("m", 3, ["a"], None)
    for config, problem in [
        ({}, "config.unit is missing"),
        ({"unit": "yd"}, "config.unit: one of 'm', 'ft' was expected, found a string"),
        ({"unit": "m", "depth": True}, "config.depth: an integer was expected, found a boolean"),
        ({"unit": "m", "names": [1]}, "config.names[0]: a string was expected, found a number"),
        ({"unit": "m", "limit": "x"}, "config.limit: a number was expected, found a string"),
        ({"unit": "m", "dept": 1}, "config.dept is unknown"),
    ]:
        with pytest.raises(PluginError, match="the manifest's") as refused:
            with FakeHost(Plugin("p", config=Settings), config=config):
                pass
        assert problem in str(refused.value) and refused.value.code == -32602


def test_a_start_hook_may_refuse_the_start() -> None:
    plugin = Plugin("p")

    @plugin.on_start
    async def start() -> None:
        raise OSError("no disk")

    with pytest.raises(PluginError, match="OSError: no disk"):
        with FakeHost(plugin):
            pass


def test_new_configuration_is_taken_or_left() -> None:
    plugin = Plugin("p", config=Settings)

    @plugin.on_config
    def changed() -> bool:
        return plugin.config.unit == "ft"

    with FakeHost(plugin, config={"unit": "m"}) as host:
        assert host.opening["supports"]["configReload"] is True
        assert host.change_config({"unit": "ft"}) is True
        assert plugin.config.unit == "ft"
        assert host.change_config({"unit": "m"}) is False
        with pytest.raises(PluginError):
            host.change_config({"unit": 7})
        assert plugin.config.unit == "ft"
    with FakeHost(Plugin("q")) as host:
        with pytest.raises(PluginError) as without:
            host.change_config({})
        assert without.value.code == -32601


@pytest.mark.parametrize("kind", ["async", "thread"])
def test_failures_are_typed_and_the_traceback_stays_in_the_log(kind: str) -> None:
    plugin = Plugin("p")

    def fail(params: dict[str, Any]) -> None:
        if params.get("own"):
            raise PluginError("out of ink", code=9, data={"tray": 2})
        if params.get("params"):
            raise InvalidParams("no such tray")
        sqlite3.connect("/no/such/folder/x")

    async def fail_async(params: dict[str, Any]) -> None:
        fail(params)

    plugin.method("fail", fail if kind == "thread" else fail_async)
    plugin.method("nan", lambda: float("nan"))
    plugin.method("object", lambda: object())
    with FakeHost(plugin) as host:
        errors = []
        for method, params in [
            ("fail", {"own": True}),
            ("fail", {"params": True}),
            ("fail", {}),
            ("fail", [1]),
            ("no/such", {}),
            ("nan", {}),
            ("object", {}),
        ]:
            with pytest.raises(PluginError) as error:
                host.call(method, params)
            errors.append(error.value)
        assert host.ping() == {}
    own, invalid, foreign, array, missing, nan, thing = errors
    assert (own.code, own.message, own.data) == (9, "out of ink", {"tray": 2})
    assert (invalid.code, invalid.message) == (-32602, "no such tray")
    assert foreign.code == 1
    assert foreign.message == "OperationalError: unable to open database file"
    assert foreign.data == {"class": "exception", "type": "OperationalError"}
    assert array.code == -32602 and missing.code == -32601
    assert "Out of range" in nan.message and "a object is no JSON" in thing.message
    logged = [log for log in host.logs if "fail failed" in log["message"]]
    assert len(logged) == 1 and logged[0]["level"] == "error"
    assert "Traceback" in logged[0]["message"] and "sqlite3.connect" in logged[0]["message"]
    assert "outboard_plugin/_session.py" not in logged[0]["message"], "only the author's own lines"


def test_a_traceback_is_on_the_wire_when_asked_for() -> None:
    plugin = Plugin("p", tracebacks=True)
    plugin.method("fail", lambda: 1 / 0)
    with FakeHost(plugin) as host:
        with pytest.raises(PluginError) as error:
            host.call("fail")
    assert "ZeroDivisionError" in error.value.data["traceback"]


def test_params_of_the_wrong_type_do_not_reach_the_handler() -> None:
    plugin = Plugin("p")
    plugin.method("add", lambda params: params)

    @plugin.method("sum")
    async def sum_(params: Sum, call: Call) -> int:
        return params.a + params.b

    with FakeHost(plugin) as host:
        for params in ({}, {"a": 1}, {"a": 1, "b": "2"}, {"a": 1, "b": 2, "c": 3}):
            with pytest.raises(PluginError) as wrong:
                host.call("sum", params)
            assert wrong.value.code == -32602
        assert host.call("sum", {"a": 1, "b": 2}) == 3


def test_a_coroutine_is_cancelled() -> None:
    plugin = Plugin("p")
    cleaned = threading.Event()

    @plugin.method
    async def forever(call: dict[str, Any]) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cleaned.set()

    with FakeHost(plugin) as host:
        call = host.start("forever")
        host.ping()
        call.cancel()
        with pytest.raises(PluginError) as cancelled:
            call.result()
        assert cancelled.value.code == -32800 and cleaned.is_set()
        host.notify("$/cancel", {"id": call.id})
        host.notify("$/cancel", {"id": 12345})
        assert host.ping() == {}


def test_a_thread_sees_that_it_is_cancelled() -> None:
    plugin = Plugin("p", concurrency=1)
    running = threading.Event()

    @plugin.method
    def forever(params: dict[str, Any], call: Call) -> None:
        running.set()
        while not call.wait(60):
            pass
        assert call.cancelled and current_call() is call
        call.check()

    with FakeHost(plugin) as host:
        first = host.start("forever")
        assert running.wait(10)
        waiting = host.start("forever")
        host.ping()
        waiting.cancel()
        with pytest.raises(PluginError) as queued:
            waiting.result()
        assert queued.value.code == -32800 and not first.done
        first.cancel()
        with pytest.raises(PluginError) as cancelled:
            first.result()
        assert cancelled.value.code == -32800


def test_a_deadline_ends_a_call() -> None:
    plugin = Plugin("p")
    left: list[Any] = []

    @plugin.method
    async def slow(params: Any, call: Call) -> None:
        left.append((call.remaining(), call.caller, call.attempt))
        await asyncio.sleep(60)

    plugin.method("free", lambda _, call: call.remaining())
    with FakeHost(plugin) as host:
        with pytest.raises(PluginError) as late:
            host.call("slow", deadline=0.05)
        assert late.value.code == -31002
        assert 0 < left[0][0] <= 0.05 and left[0][1:] == ("test", 1)
        assert host.call("free") is None


def test_progress_rises_and_ends_with_the_call() -> None:
    plugin = Plugin("p")
    calls: list[Call] = []

    @plugin.method
    def work(params: Any, call: Call) -> None:
        calls.append(call)
        for done in (1, 2, 2, 1, 3):
            call.progress(done, 3, "reading")

    with FakeHost(plugin) as host:
        call = host.start("work")
        call.result()
        calls[0].progress(4)
        host.ping()
        assert [p["progress"] for p in call.progress] == [1, 2, 3]
        assert call.progress[0] == {**call.progress[0], "total": 3, "message": "reading"}
        quiet = host.start("work", meta={"progressToken": None})
        quiet.result()
        assert quiet.progress == []


def test_calls_to_other_plugins_are_part_of_the_call() -> None:
    plugin = Plugin("p")

    @plugin.method
    async def get(params: dict[str, Any], call: Call) -> Any:
        return await call.host.call("kv", "get", {"key": params["key"]})

    @plugin.method
    def get_sync(params: dict[str, Any], call: Call) -> Any:
        return call.host.call_sync("kv", "get", {"key": params["key"]}, timeout=60)

    def kv(params: Any) -> Any:
        if params["key"] == "a":
            return "b"
        raise PluginError("no such key", code=5, data={"retryable": True, "class": "x"})

    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    with FakeHost(plugin) as host:
        host.provide("kv", "get", kv)
        for method in ("get", "get_sync"):
            assert host.call(method, {"key": "a"}, deadline=5, meta={"traceparent": trace}) == "b"
            sent = host.called[-1]
            assert sent["params"] == {"key": "a"} and sent["_meta"] == {"traceparent": trace}
            assert 0 < sent["timeoutMs"] <= 5000
            with pytest.raises(PluginError, match="no such key") as error:
                host.call(method, {"key": "z"})
            assert error.value.code == 5 and error.value.retryable
            assert error.value.error_class == "x"


def test_a_blocking_call_of_a_cancelled_call_is_given_up() -> None:
    plugin = Plugin("p")
    asked = threading.Event()

    @plugin.method
    def ask(params: Any, call: Call) -> Any:
        return call.host.call_sync("never", "answers")

    class Silent(FakeHost):
        def _host_request(self, request: Any) -> None:
            asked.set()

    with Silent(plugin) as host:
        call = host.start("ask")
        assert asked.wait(10)
        call.cancel()
        with pytest.raises(PluginError) as cancelled:
            call.result()
        assert cancelled.value.code == -32800


def test_the_end_of_the_host_ends_what_waits_for_it() -> None:
    plugin = Plugin("p")
    asked = threading.Event()
    plugin.method("sync", lambda params, call: call.host.call_sync("never", "answers"))

    @plugin.method("async")
    async def ask(params: Any, call: Call) -> Any:
        return await call.host.call("never", "answers")

    class Silent(FakeHost):
        def _host_request(self, request: Any) -> None:
            self.called.append(request)
            if len(self.called) == 2:
                asked.set()

    with Silent(plugin) as host:
        calls = [host.start("sync"), host.start("async")]
        assert asked.wait(10)
    for call in calls:
        with pytest.raises(PluginError, match="the host has gone"):
            call.result()


def test_blocking_the_event_loop_is_refused() -> None:
    plugin = Plugin("p")

    @plugin.method
    async def wrong(params: Any, call: Call) -> Any:
        return call.host.call_sync("kv", "get")

    with FakeHost(plugin) as host:
        with pytest.raises(PluginError, match="would block the event loop"):
            host.call("wrong")


def test_events_come_in_order_and_go_out() -> None:
    plugin = Plugin("p")
    seen: list[Event] = []
    plugin.publishes("geo.updated")

    @plugin.on_event("net.*", "exact")
    async def event(event: Event) -> None:
        await asyncio.sleep(0)
        seen.append(event)
        if event.topic == "net.bad":
            raise ValueError("bad")

    @plugin.method
    async def tell(params: Any, call: Call) -> int:
        call.host.publish_nowait("geo.quick", 1)
        return await call.host.publish("geo.updated", {"rows": 2})

    with FakeHost(plugin) as host:
        assert host.opening["subscribe"] == ["net.*", "exact"]
        assert host.opening["events"] == ["geo.updated"]
        for topic in ("net.up", "other", "net.bad", "exact"):
            host.emit(topic, {"if": "eth0"}, missed=2)
        assert host.call("tell") == 1
        host.wait(lambda: len(seen) == 3)
        assert [p["topic"] for p in host.published] == ["geo.quick", "geo.updated"]
    assert [(e.topic, e.seq, e.missed) for e in seen] == [
        ("net.up", 1, 2),
        ("net.bad", 3, 2),
        ("exact", 4, 2),
    ]


def test_a_status_is_told_and_kept_for_probes() -> None:
    plugin = Plugin("p", ready=False)
    with FakeHost(plugin) as host:
        assert host.opening["ready"] is False
        plugin.host.status("busy", "compacting", expected=2)
        assert host.ping() == {"state": "busy", "message": "compacting", "expectedMs": 2000}
        plugin.host.status("ready")
        assert host.ping() == {}
        assert [s["state"] for s in host.statuses] == ["busy", "ready"]


def test_the_standard_logging_goes_to_the_host() -> None:
    plugin = Plugin("p")
    plugin.method("log", lambda: logging.getLogger("geo.db").warning("%d rows", 3, extra={"n": 3}))
    with FakeHost(plugin) as host:
        host.call("log")
        assert host.logs == [
            {"level": "warn", "message": "3 rows", "logger": "geo.db", "fields": {"n": 3}}
        ]
    assert not any(type(h).__name__ == "HostHandler" for h in logging.getLogger().handlers)


def test_a_drain_waits_for_calls_and_refuses_new_ones() -> None:
    plugin = Plugin("p")
    release, order = threading.Event(), []

    @plugin.method
    def slow() -> str:
        release.wait(10)
        order.append("call")
        return "done"

    @plugin.on_drain
    async def drained() -> None:
        order.append("drain")

    with FakeHost(plugin) as host:
        assert host.opening["supports"]["drain"] is True
        call = host.start("slow")
        with pytest.raises(PluginError) as late:
            host.drain(0.01)
        assert late.value.code == -31002
        with pytest.raises(PluginError) as refused:
            host.call("slow")
        assert refused.value.code == -31008
        release.set()
        host.drain()
        assert call.result() == "done" and order == ["call", "drain"]


def test_a_shutdown_runs_its_hooks_once_and_refuses_calls() -> None:
    plugin = Plugin("p")
    ran: list[str] = []
    plugin.method("echo", lambda params: params)

    @plugin.on_shutdown
    def first() -> None:
        ran.append("first")
        raise RuntimeError("half done")

    @plugin.on_shutdown
    async def second() -> None:
        ran.append("second")

    with FakeHost(plugin) as host:
        host.shutdown()
        assert ran == ["first", "second"]
        with pytest.raises(PluginError) as refused:
            host.call("echo")
        assert refused.value.code == -31008
        host.shutdown()
        host.notify("exit")
    assert ran == ["first", "second"]


def test_the_end_waits_for_hooks_that_run_already() -> None:
    plugin = Plugin("p")
    begun, ended = threading.Event(), threading.Event()

    @plugin.on_shutdown
    async def slow() -> None:
        begun.set()
        await asyncio.sleep(0.05)
        ended.set()

    with FakeHost(plugin) as host:
        host._send_request("shutdown", {"reason": "stop", "deadlineMs": 5000}, "")
        assert begun.wait(10)
    assert ended.is_set()


def test_a_hook_that_something_cancelled_is_answered_for() -> None:
    plugin = Plugin("p")

    @plugin.on_config
    async def cancelled() -> None:
        raise asyncio.CancelledError

    plugin.on_shutdown(cancelled)
    with FakeHost(plugin) as host:
        with pytest.raises(PluginError, match="CancelledError"):
            host.change_config({})
        host.shutdown()


def test_the_end_of_stdin_lets_calls_finish() -> None:
    plugin = Plugin("p")
    release, ended = threading.Event(), threading.Event()
    plugin.method("slow", lambda: release.wait(10))
    plugin.on_shutdown(ended.set)
    with FakeHost(plugin) as host:
        call = host.start("slow")
        host.ping()
        host._closed = True
        host._input.put(b"")
        release.set()
        host.wait(lambda: call.done)
    assert ended.is_set()


def test_no_more_than_the_concurrency_run_at_once() -> None:
    plugin = Plugin("p", concurrency=2)
    running, peak, gate = 0, 0, threading.Event()

    @plugin.method
    async def work() -> None:
        nonlocal running, peak
        running += 1
        peak = max(peak, running)
        await asyncio.sleep(0.001)
        running -= 1

    with FakeHost(plugin) as host:
        for call in [host.start("work") for _ in range(20)]:
            call.result()
    assert peak == 2 and not gate.is_set()


def test_more_than_a_host_should_send_is_refused() -> None:
    plugin = Plugin("p", concurrency=1)

    @plugin.method
    async def forever() -> None:
        await asyncio.Event().wait()

    with FakeHost(plugin) as host:
        calls = [host.start("forever") for _ in range(1026)]
        with pytest.raises(PluginError) as refused:
            calls[-1].result()
        assert refused.value.code == -31004 and not any(call.done for call in calls[:-1])
        for call in calls[:-1]:
            call.cancel()
        for call in calls[:-1]:
            with pytest.raises(PluginError):
                call.result()


def test_what_wants_no_answer_gets_none() -> None:
    plugin = Plugin("p")
    with FakeHost(plugin) as host:
        for line in (
            "not json",
            "[]",
            "",
            '{"jsonrpc":"2.0","id":77,"result":{}}',
            '{"jsonrpc":"2.0","id":null,"error":{"code":1,"message":"x"}}',
            '{"jsonrpc":"2.0","method":"no/such"}',
            '{"jsonrpc":"2.0","method":"event","params":{"topic":"x"}}',
            '{"level":"info","id":3}',
        ):
            host.send(line)
        assert host.ping() == {}
        assert [log["level"] for log in host.logs] == ["warn"]


def test_a_result_beyond_the_hosts_limits_is_an_error() -> None:
    plugin = Plugin("p")
    plugin.method("big", lambda: "x" * 70_000)

    @plugin.method
    def deep() -> Any:
        value: list[Any] = []
        for _ in range(200):
            value = [value]
        return value

    with FakeHost(plugin, limits={"maxFrameBytes": 65536, "maxDepth": 128}) as host:
        for method in ("big", "deep"):
            with pytest.raises(PluginError) as error:
                host.call(method)
            assert error.value.code == -31005


def test_requests_that_cannot_be_read_are_answered_where_they_say_who_asks() -> None:
    with FakeHost(Plugin("p")) as host:
        for id, params, code in ((50, "[" * 200 + "]" * 200, -31005), (51, "7", -32600)):
            asked = host._pending[id] = Pending(host, id, "")
            host.send('{"jsonrpc":"2.0","id":%d,"method":"x","params":%s}' % (id, params))
            with pytest.raises(PluginError) as error:
                asked.result()
            assert error.value.code == code


@pytest.mark.parametrize(
    "name", ["ping", "exit", "host/call", "$/x", "config/changed", "", "a b", "é"]
)
def test_names_of_the_protocol_are_not_a_plugins(name: str) -> None:
    with pytest.raises(ValueError):
        Plugin("p").method(name, lambda: None)


def test_a_method_is_there_once_and_takes_two_at_most() -> None:
    plugin = Plugin("p")
    plugin.method("a", lambda: None)
    with pytest.raises(ValueError, match="twice"):
        plugin.method("a", lambda: None)
    with pytest.raises(TypeError):
        plugin.method("b", lambda params, call, more: None)
    with pytest.raises(ValueError):
        Plugin("p", concurrency=0)


def test_the_kit_tells_what_is_against_the_protocol() -> None:
    plugin = Plugin("p")

    @plugin.method
    def bad(params: Any, call: Call) -> None:
        call.host._outlet.notify("$/progress", {"token": "nobody", "progress": 1})

    with pytest.raises(AssertionError, match="progress that nobody asked for"):
        with FakeHost(plugin) as host:
            host.call("bad")
