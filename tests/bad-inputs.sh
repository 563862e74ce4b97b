#!/bin/sh
# Makes each kind of bad input and prints the command, what it said and its exit code beside the documented one.
# Usage: bad-inputs.sh PATH-OF-OUTBOARD PATH-OF-A-PLUGIN   (the plugin: outboard-echo)
O=$(readlink -f "$1"); ECHO=$(readlink -f "$2")
W=$(mktemp -d); cd "$W" || exit 1
RUN=
trap '[ -z "$RUN" ] || kill -9 "$RUN" 2>/dev/null; cd /; rm -rf "$W"' EXIT
export OUTBOARD_STATE_DIR="$W/state" NO_COLOR=1
BAD=0
# t EXPECTED COMMAND…
t() {
    want=$1; shift
    printf '$ %s\n' "$(echo "$*" | sed "s|$O|outboard|; s|$W|.|g")"
    timeout 30 "$@" >out 2>err </dev/null; got=$?
    sed "s|$W|.|g; s|^|  |" out; sed "s|$W|.|g; s|^|! |" err
    if [ "$got" = "$want" ]; then echo "= exit $got, as documented"; else echo "= exit $got, WRONG: $want is documented"; BAD=1; fi
    if [ "$want" != 0 ] && ! grep -q '^error: ' err out; then echo "= WRONG: no line that begins with error:"; BAD=1; fi
    echo
}
mkdir good bad dup circle strict
printf '[process]\ncommand = ["%s"]\n' "$ECHO" >good/geo.toml
printf '[process]\ncommand = ["%s"]\n' "$ECHO" >good/time.toml

echo "== manifests =="
printf '[process\ncommand = 7\n' >bad/syntax.toml
printf '[process]\ncommand = ["true"]\n[restrat]\npolicy = "never"\n' >bad/unknown-key.toml
printf '[process]\ncommand = ["true"]\n[health]\ninterval = "10"\n' >bad/no-unit.toml
printf 'id = "x y"\n[process]\ncommand = []\n' >bad/empty.toml
t 2 "$O" check bad
printf 'id = "a"\n[process]\ncommand = ["true"]\n' >dup/one.toml; cp dup/one.toml dup/two.toml
t 2 "$O" check dup
printf '[process]\ncommand = ["true"]\n[start]\nrequires = ["b"]\n' >circle/a.toml
printf '[process]\ncommand = ["true"]\n[start]\nrequires = ["a"]\n' >circle/b.toml
t 2 "$O" check circle
t 2 "$O" run bad --strict
t 2 "$O" check no-such-folder
t 2 "$O" run no-such-folder
mkdir missing; printf '[process]\ncommand = ["no-such-program"]\n' >missing/gone.toml
printf '[process]\ncommand = ["%s"]\nenv = { T = { from_env = "NOT_SET_HERE" } }\n' "$ECHO" >missing/secret.toml
t 2 "$O" check missing
t 6 "$O" run missing --once-active
t 2 "$O" doctor missing

echo "== arguments =="
t 2 "$O" check -q bad
t 2 "$O" doctor -q missing
t 2 "$O" frobnicate
t 2 "$O" statsu
t 2 "$O" up
t 2 "$O" run
t 2 "$O" run good --output loud
t 2 "$O" run good --once-active --timeout 10
t 2 "$O" logs
t 2 "$O" stop geo --nwo
t 2 "$O" stop geo --all

echo "== no supervisor =="
for v in status list "why geo" "stop geo" "start geo" "restart geo" "logs geo" events "call geo echo" "notify geo echo" health shutdown "status --watch"; do
    # shellcheck disable=SC2086
    t 3 "$O" $v
done

echo "== what lies where the socket should be =="
mkdir -m 700 state
python3 -c 'import socket,sys; s=socket.socket(socket.AF_UNIX); s.bind(sys.argv[1])' state/control.sock
t 3 "$O" status
rm state/control.sock; echo precious >state/control.sock
t 8 "$O" status
t 8 "$O" run good
grep -q precious state/control.sock && echo "= the file is as it was" || { echo "= WRONG: the file was touched"; BAD=1; }
rm -f state/control.sock; echo precious >target; ln -s "$W/target" state/control.sock
t 8 "$O" status
t 8 "$O" run good
grep -q precious target && [ -L state/control.sock ] && echo "= the link and its target are as they were" || { echo "= WRONG: touched"; BAD=1; }
rm -f state/control.sock
mkdir state/control.sock; t 8 "$O" status; t 8 "$O" run good; rmdir state/control.sock
rm -rf state; echo file >state
t 2 "$O" run good
rm state

echo "== one is running =="
"$O" run good --output plain >run.out 2>run.err & RUN=$!
i=0; until "$O" status -q 2>/dev/null && [ "$("$O" status | grep -c ' active ')" = 2 ]; do i=$((i+1)); [ $i -gt 200 ] && break; done
before=$("$O" status --json | python3 -c 'import json,sys; print([(p["id"],p["pid"],p["generation"],p["state"]) for p in json.load(sys.stdin)["plugins"]])')
t 8 "$O" run good
t 4 "$O" status goe
t 4 "$O" why nothing-like-it
t 4 "$O" stop nothing-like-it
t 4 "$O" logs nothing-like-it
t 4 "$O" call nothing-like-it echo
t 2 "$O" stop
t 2 "$O" call geo echo '{a'
t 2 "$O" call geo echo 7
t 2 "$O" call geo echo @no-such-file
t 2 "$O" call geo echo --deadline 5
t 1 "$O" call geo no_such_method
t 7 "$O" call geo initialize
after=$("$O" status --json | python3 -c 'import json,sys; print([(p["id"],p["pid"],p["generation"],p["state"]) for p in json.load(sys.stdin)["plugins"]])')
[ "$before" = "$after" ] && echo "= nothing was disturbed: $after" || { echo "= WRONG: before $before, after $after"; BAD=1; }
echo
kill -TERM $RUN; wait $RUN; echo "= the supervisor ended with $?"
RUN=
exit $BAD
