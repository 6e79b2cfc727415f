#!/bin/sh
# The core tests under AddressSanitizer and UndefinedBehaviorSanitizer.
# Leaks are not looked for: the interpreter keeps what it allocates.
set -eu
root=$(cd "$(dirname "$0")/../.." && pwd)
cd "$root"
python=${PYTHON:-$root/.venv/bin/python}
cc=${CC:-gcc}

"$python" -m tests.native.variant asan build/asan
preload=$("$cc" -print-file-name=libasan.so):$("$cc" -print-file-name=libubsan.so)
export LD_PRELOAD="$preload"
export ASAN_OPTIONS=detect_leaks=0:abort_on_error=1:detect_stack_use_after_return=0
export UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1
export PYTHONPATH="$root/build/asan:$root" PYTHONMALLOC=malloc
export STEM_ACTOR_NATIVE="$root/build/asan/native"
export CFLAGS="-fsanitize=address,undefined -fno-omit-frame-pointer -g"
exec "$python" -P -m pytest -q -p no:cacheprovider -o pythonpath= tests/ring "$@"
