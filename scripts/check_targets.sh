#!/usr/bin/env bash
# Checks that the program compiles for Windows and macOS, as far as that can be seen on any machine: types and conditional
# code, not linking. Needs a toolchain from rustup, which brings a target's standard library.
set -euo pipefail
cd "$(dirname "$0")/.."

for target in x86_64-pc-windows-msvc aarch64-apple-darwin; do
    if ! rustup target add "$target"; then
        echo "$target: rustup could not bring it; nothing was checked for it" >&2
        exit 1
    fi
    cargo check --release --target "$target"
done
