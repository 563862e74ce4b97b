#!/bin/sh
# Says to the plugin what a host would, and looks at what it answers.
cd "$(dirname "$0")" || exit 2
answers=$(sh plugin.sh <<'FRAMES'
{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersions":[1]}}
{"jsonrpc":"2.0","id":2,"method":"echo","params":{"text":"hello"}}
{"jsonrpc":"2.0","id":3,"method":"no/such","params":{}}
FRAMES
)
holds() {
    case $answers in *"$1"*) ;; *) printf 'not answered: %s\n%s\n' "$1" "$answers" >&2; exit 1 ;; esac
}
holds '"id":1,"result":{"protocolVersion":1,'
holds '{"jsonrpc":"2.0","id":2,"result":{"text":"hello"}}'
holds '"id":3,"error":{"code":-32601,'
echo "3 answers, as they should be"
