"""An outboard plugin on nothing but Python's standard library: `echo` and `add`."""

import json
import sys

# Frames have stdout for themselves: whatever else prints goes to stderr, and so into the log.
wire, sys.stdout = sys.stdout, sys.stderr


def add(params):
    return {"sum": params["a"] + params["b"]}


class Refused(Exception):
    """An error with a code of the protocol's own."""

    def __init__(self, code, message):
        super().__init__(message)
        self.code = code


def initialize(params):
    if 1 not in params["protocolVersions"]:
        raise Refused(-31010, "no common version")
    return {
        "protocolVersion": 1,
        "name": "echo-python",
        "version": "1.0.0",
        "methods": {name: {"idempotent": True} for name in METHODS},
    }


def shutdown(_):
    def late(_):
        raise Refused(-31008, "shutting down")

    METHODS.update(dict.fromkeys(METHODS, late))
    return {}


METHODS = {"echo": lambda params: params, "add": add}

CORE = {"initialize": initialize, "ping": lambda _: {}, "shutdown": shutdown}


def dump(value):
    # Without allow_nan=False a number beyond all floats would be written as Infinity, which is no JSON.
    return json.dumps(value, separators=(",", ":"), allow_nan=False)


def answer(message):
    """The result or error member for one request, as text."""
    method = message["method"]
    handler = CORE.get(method) or METHODS.get(method)
    if handler is None:
        return '"error":' + dump({"code": -32601, "message": f"no method {method}"})
    try:
        return '"result":' + dump(handler(message.get("params") or {}))
    except Refused as error:
        return '"error":' + dump({"code": error.code, "message": str(error)})
    except (KeyError, TypeError) as error:
        return '"error":' + dump({"code": -32602, "message": f"wrong params: {error!r}"})
    except Exception as error:  # a handler's failure is the caller's, not the plugin's end
        return '"error":' + dump({"code": 1, "message": repr(error)})


for line in sys.stdin.buffer:  # the end of stdin ends the loop, and so the plugin
    try:
        message = json.loads(line)
    except ValueError:
        print("skipped a line that is not JSON", file=sys.stderr)
        continue
    if message.get("method") == "exit":
        break
    if "method" in message and "id" in message:  # everything else wants no answer
        id = json.dumps(message["id"])
        print(f'{{"jsonrpc":"2.0","id":{id},{answer(message)}}}', file=wire, flush=True)
