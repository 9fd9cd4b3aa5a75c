#!/bin/sh
# Builds the executable: one file that needs nothing at run time.
#
#   ./compile.sh [--target NAME] [--compiler bun|deno] [--out DIR]
#
# Without --target it is dist/stanchion for this machine, reachable under its two other names as well. With --target it
# is dist/stanchion-NAME. STANCHION_BUN and STANCHION_DENO name the compiler's file if it is not on PATH.
set -eu

TARGETS="linux-x64 linux-arm64 linux-x64-musl linux-arm64-musl darwin-x64 darwin-arm64 windows-x64"

fail() {
  echo "compile.sh: $1" >&2
  exit "${2:-1}"
}

usage() {
  sed -n '2,7s/^# \{0,1\}//p' "$0"
  echo "Targets: $TARGETS"
}

root=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd -P)
target=
compiler=
out=
while [ $# -gt 0 ]; do
  option=$1
  case "$option" in
    --*=*)
      value=${option#*=}
      option=${option%%=*}
      ;;
    --target | --compiler | --out)
      [ $# -ge 2 ] || fail "$option needs a value" 2
      value=$2
      shift
      ;;
    -h | --help)
      usage
      exit 0
      ;;
  esac
  case "$option" in
    --target) target=$value ;;
    --compiler) compiler=$value ;;
    --out) out=$value ;;
    *) fail "unknown option \"$option\"; try --help" 2 ;;
  esac
  shift
done

if [ -n "$target" ]; then
  case " $TARGETS " in
    *" $target "*) ;;
    *) fail "unknown target \"$target\". Targets: $TARGETS" 2 ;;
  esac
fi
case "$out" in
  "") out=$root/dist ;;
  /*) ;;
  *) out=$PWD/$out ;;
esac
cd "$root"

why="asked for with --compiler"
if [ -z "$compiler" ]; then
  compiler=bun
  why="releases are built with it: its executables start several times faster"
fi
case "$compiler" in
  bun | deno) ;;
  *) fail "unknown compiler \"$compiler\". Compilers: bun, deno" 2 ;;
esac

# The pinned versions stand once, under "toolchain" in package.json.
wanted=$(sed -n 's/^ *"'"$compiler"'": *"\([0-9.]*\)".*/\1/p' package.json | head -n 1)
[ -n "$wanted" ] || fail "package.json has no \"toolchain\" version of $compiler"

# True if version $1 is at least $2.
at_least() {
  awk -v have="$1" -v want="$2" 'BEGIN {
    split(have, h, "."); split(want, w, ".")
    for (i = 1; i <= 3; i++) if (h[i] + 0 != w[i] + 0) exit h[i] + 0 < w[i] + 0
    exit 0
  }'
}

version_of() {
  "$@" --version 2>/dev/null | sed -n 's/^[a-z ]*\([0-9][0-9]*\.[0-9][0-9]*\.[0-9][0-9]*\).*/\1/p' | head -n 1
}

# The compiler is "$tool" plus, for npx, "$package".
if [ "$compiler" = bun ]; then tool=${STANCHION_BUN:-}; else tool=${STANCHION_DENO:-}; fi
[ -n "$tool" ] || tool=$(command -v "$compiler" || true)
package=
if [ -n "$tool" ]; then
  version=$(version_of "$tool")
  if ! at_least "${version:-0}" "$wanted"; then
    echo "$tool is ${version:-of no known version}, older than $wanted"
    tool=
  fi
fi
if [ -z "$tool" ]; then
  command -v npx >/dev/null 2>&1 || fail "needs $compiler $wanted or newer on PATH, or npx to get it"
  echo "getting $compiler@$wanted with npx (npm keeps it in its cache)"
  tool=npx
  package=$compiler@$wanted
  version=$(version_of npx -y "$package")
  [ -n "$version" ] || fail "npx could not get $package; install $compiler $wanted or newer and put it on PATH"
fi
run_compiler() {
  if [ -n "$package" ]; then npx -y "$package" "$@"; else "$tool" "$@"; fi
}
echo "compiler: $compiler $version ($why)"

missing=
for dependency in $(sed -n '/^  "dependencies": {/,/}/s/^    "\([^"]*\)".*/\1/p' package.json); do
  [ -f "node_modules/$dependency/package.json" ] || missing="$missing $dependency"
done
if [ -n "$missing" ]; then
  echo "installing packages (missing:$missing)"
  if [ "$compiler" = bun ]; then run_compiler install --frozen-lockfile; else run_compiler install --frozen; fi
fi

# Only a repository of our own counts: unpacked sources may lie inside somebody else's.
commit=
if [ "$(git rev-parse --show-toplevel 2>/dev/null || true)" = "$root" ]; then
  commit=$(git rev-parse --short HEAD 2>/dev/null || true)
  if [ -n "$commit" ] && ! git diff-index --quiet HEAD -- 2>/dev/null; then commit=$commit-dirty; fi
fi
echo "commit: ${commit:-unknown}"

name=stanchion
[ -z "$target" ] || name=stanchion-$target
case "$target" in
  windows-*) name=$name.exe ;;
  "") case "$(uname -s)" in MINGW* | MSYS* | CYGWIN*) name=$name.exe ;; esac ;;
esac

# Built beside and moved at the end: whoever starts the executable meanwhile gets a whole one, the old or the new.
mkdir -p "$out"
build=$(mktemp -d "$out/.build.XXXXXX")
trap 'rm -rf "$build"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

if [ "$compiler" = bun ]; then
  set -- build --compile --minify --bytecode --format=esm
  # Without these two the executable would read .env and run what a bunfig.toml of the current folder names.
  set -- "$@" --no-compile-autoload-dotenv --no-compile-autoload-bunfig
  [ -z "$commit" ] || set -- "$@" --define "STANCHION_COMMIT=\"$commit\""
  [ -z "$target" ] || set -- "$@" "--target=bun-$target"
  # The compiler leaves its temporary file in the current folder.
  (cd "$build" && run_compiler "$@" "$root/src/main.ts" --outfile "$build/$name") ||
    fail "$compiler $version could not build${target:+ for $target}; for a foreign target it needs the network"
else
  case "$target" in
    "") triple= ;;
    linux-x64) triple=x86_64-unknown-linux-gnu ;;
    linux-arm64) triple=aarch64-unknown-linux-gnu ;;
    darwin-x64) triple=x86_64-apple-darwin ;;
    darwin-arm64) triple=aarch64-apple-darwin ;;
    windows-x64) triple=x86_64-pc-windows-msvc ;;
    *) fail "deno does not compile for $target; use --compiler bun" 2 ;;
  esac
  # This compiler has no --define, so the commit is set by a first module. The import is dynamic to come after it.
  entry=src/main.ts
  if [ -n "$commit" ]; then
    entry=$build/entry.ts
    printf 'Object.assign(globalThis, { STANCHION_COMMIT: "%s" });\nawait import("%s");\n' \
      "$commit" "file://$root/src/main.ts" >"$entry"
  fi
  set -- compile -A --no-check --config "$root/deno.json" --output "$build/$name"
  [ -z "$triple" ] || set -- "$@" --target "$triple"
  run_compiler "$@" "$entry" ||
    fail "deno $version could not compile. It loads its runtime part from the network; without network set DENORT_BIN
to a denort of version $version for the target, or use --compiler bun"
fi
[ -f "$build/$name" ] || fail "the compiler made no file"
chmod 755 "$build/$name"
mv -f "$build/$name" "$out/$name"

# The program looks at the name it is started under.
if [ -z "$target" ] && [ "$name" = stanchion ]; then
  for other in nats-streaming-server nats-server; do ln -sf stanchion "$out/$other"; done
fi

echo "built: $out/$name, $(($(wc -c <"$out/$name") / 1000000)) MB"
[ -n "$target" ] || "$out/$name" --version
