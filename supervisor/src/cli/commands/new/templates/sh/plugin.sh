#!/bin/sh
# The plugin {{name}}, in POSIX shell.
#
# The host writes a frame's members in one fixed order (jsonrpc, id, method, params), each frame on a line of its own, so
# cutting at the first `,"params":` is enough. Params go back as the text that they came as, so nothing here parses JSON.
# Whatever else you print belongs on stderr: it is the plugin's log.

reply() {
    printf '{"jsonrpc":"2.0","id":%s,%s}\n' "$id" "$1"
}

while IFS= read -r frame; do
    head=${frame%%,\"params\":*}
    params=${frame#*,\"params\":}
    params=${params%\}}
    case $head in
        *'"method":"'*) method=${head##*\"method\":\"} method=${method%%\"*} ;;
        *) continue ;; # an answer, and nothing was asked
    esac
    case $head in
        *'"id":'*) id=${head#*\"id\":} id=${id%%,*} ;;
        *) id= ;;
    esac
    case $method in
        initialize) reply '"result":{"protocolVersion":1,"name":"{{name}}","version":"0.1.0","methods":{"echo":{}}}' ;;
        ping | shutdown) reply '"result":{}' ;;
        echo) [ -z "$id" ] || reply "\"result\":$params" ;;
        exit) exit 0 ;;
        *) [ -z "$id" ] || reply '"error":{"code":-32601,"message":"no such method"}' ;;
    esac
done
