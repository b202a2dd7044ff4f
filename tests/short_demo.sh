# The demo at reduced size and its report, with the command `zoo` of an environment.
# Usage: sh tests/short_demo.sh .venv/bin
set -eu
command="$1/zoo"
runs=$(mktemp -d)
trap 'rm -rf "$runs"' EXIT
set -- three_variants seeds=1 steps=10 evaluate=10 "runs=$runs"
"$command" list >/dev/null
"$command" study "$@"
"$command" report "$@"
