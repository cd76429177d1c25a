#!/usr/bin/env bash
# Installs what the checks need beyond Rust and Python, where this is Debian and we may: a headless Chromium to look at
# the report, PostgreSQL for the history's tests, valgrind for `ab --count`. Elsewhere it says what is missing; the checks then say what they skipped.
set -euo pipefail
wanted=()
command -v chromium >/dev/null 2>&1 || wanted+=(chromium)
ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || wanted+=(postgresql)
command -v valgrind >/dev/null 2>&1 || wanted+=(valgrind)
[ ${#wanted[@]} -eq 0 ] && exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
  apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq "${wanted[@]}" >/dev/null
else
  echo "not installed: ${wanted[*]}; install them by hand to run every check" >&2
fi
