#!/bin/sh
# Builds the modules of this directory from their sources, the same bytes each time.
# They are committed, so that tests need neither toolchain.
#
# Needs, on Debian 12: apt-get install clang lld wasi-libc libclang-rt-14-dev-wasm32
# and npm with network access, for the AssemblyScript compiler named below.
set -eu
cd "$(dirname "$0")"

c() {
	clang --target=wasm32-wasi -std=gnu11 -Oz -Wall -Wextra -Werror -Wl,--strip-all -o "${1%.c}.wasm" "$1"
	chmod -x "${1%.c}.wasm"
}
c c/conformance.c
c command/main.c

asc=$(mktemp -d)
trap 'rm -rf "$asc"' EXIT
npm install --silent --no-save --prefix "$asc" assemblyscript@0.28.20
# --use replaces what would be imported from env; _initialize is the exported start;
# with a MiB of memory to begin with, small events need not grow it.
"$asc/node_modules/.bin/asc" assemblyscript/conformance.ts -o assemblyscript/conformance.wasm \
	-Osize --runtime stub --initialMemory 16 --exportStart _initialize --use abort=assemblyscript/spore/abort --use seed=assemblyscript/spore/seed

# host/sandbox TestModulesAreBuiltFromTheirSources compares.
sha256sum build.sh */*.c */*.h */*.ts */*.wasm >SHA256SUMS
