#!/bin/sh
# The thread programs, plain and (with "tsan") under ThreadSanitizer.
# TSan does not see across processes, so here threads play them.
set -eu
root=$(cd "$(dirname "$0")/../.." && pwd)
native=${STEM_ACTOR_NATIVE:-$root/native}
cc=${CC:-gcc}
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
flags="-O2"
if [ "${1:-}" = tsan ]; then
    flags="-O1 -g -fsanitize=thread"
fi
# shellcheck disable=SC2086
"$cc" -std=gnu11 -Wall -Wextra -Werror $flags -I"$native" \
    "$native"/sa_*.c "$root"/tests/native/*.c -o "$out/threads" -pthread
TSAN_OPTIONS=halt_on_error=1 timeout 300 "$out/threads"
