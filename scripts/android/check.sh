#!/usr/bin/env bash
# Does the program for phones still compile for Android? No NDK is needed.
#
#   scripts/android/check.sh              without candle and tract, which know nothing of systems and take long
#   scripts/android/check.sh FEATURES     with these features: candle,tract,ort
exec "$(dirname "$0")/../checks/compiles_for.sh" aarch64-linux-android ditbench-phone "${1:-ort}"
