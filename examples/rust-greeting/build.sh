#!/bin/sh
# Makes rust-greeting.so (.dylib on macOS) beside this file, by rename: a running host takes it up at once.
# Usage: build.sh [output file]
set -eu
folder=$(cd "$(dirname "$0")" && pwd)
case $(uname) in
  Darwin) library=rust-greeting.dylib flags='' ;;
  *) library=rust-greeting.so flags='-C link-arg=-Wl,-z,now,-z,relro,-z,defs -C link-arg=-Wl,--build-id' ;;
esac
output=${1:-$folder/$library}
# panic=unwind is what lets the edge catch a panic. The prefix is taken out of messages and debug information.
# shellcheck disable=SC2086 # the flags are words
"${RUSTC:-rustc}" --edition 2021 --crate-type cdylib --crate-name rust_greeting \
  -C opt-level=2 -C panic=unwind -C lto=fat -C codegen-units=1 -C strip=symbols $flags \
  --remap-path-prefix "$folder=" -D warnings -o "$output.tmp" "$folder/src/lib.rs"
mv -f "$output.tmp" "$output"
