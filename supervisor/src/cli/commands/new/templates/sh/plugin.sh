#!/bin/sh
# The plugin {{name}}, in POSIX shell.
#
# The host writes a frame's members in one fixed order (jsonrpc, id, method, params), each frame on a line of its own, so
# cutting at the first `,"params":` is enough. Params go back as the text that they came as, so nothing here parses JSON.
# Whatever else you print belongs on stderr: it is the plugin's log.

reply() {
    printf '{"jsonrpc":"2.0","id":%s,%s}\n' "$id" "$1"
}

fail() {
    [ -z "$id" ] || reply "\"error\":{\"code\":$1,\"message\":\"$2\"}"
}

stopping=
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
        initialize)
            versions=${params#*\"protocolVersions\":\[}
            case ,${versions%%\]*}, in
                *,1,*) reply '"result":{"protocolVersion":1,"name":"{{name}}","version":"0.1.0","methods":{"echo":{"idempotent":true}}}' ;;
                *) fail -31010 'no common version' ;;
            esac
            ;;
        ping) reply '"result":{}' ;;
        shutdown) stopping=1 && reply '"result":{}' ;;
        exit) exit 0 ;;
        echo)
            if [ -n "$stopping" ]; then
                fail -31008 'shutting down'
            elif [ -n "$id" ]; then
                reply "\"result\":$params"
            fi
            ;;
        *) fail -32601 'no such method' ;;
    esac
done
