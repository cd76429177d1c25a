#!/usr/bin/env bash
# Installs the real adb and adbd (Debian's backports), and the shell and tools of Android, for the tests of phones. Where
# this is no Debian, or we may not, it says what is missing; the tests then say that they were not run.
set -euo pipefail
wanted=()
for program in adb adbd; do
  PATH=$PATH:/usr/sbin command -v "$program" >/dev/null 2>&1 || wanted+=("$program")
done
tools=()
command -v mksh >/dev/null 2>&1 || tools+=(mksh)
command -v toybox >/dev/null 2>&1 || tools+=(toybox)
command -v ip >/dev/null 2>&1 || tools+=(iproute2)
[ $((${#wanted[@]} + ${#tools[@]})) -eq 0 ] && exit 0
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null 2>&1; then
  echo "not installed: ${wanted[*]} ${tools[*]}; install them by hand to run the tests of phones" >&2
  exit 0
fi
export DEBIAN_FRONTEND=noninteractive
release=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
if [ ${#wanted[@]} -gt 0 ]; then
  # adbd is in Debian's backports for bookworm, and in Debian itself after it.
  if [ "$release" = bookworm ]; then
    echo "deb http://deb.debian.org/debian bookworm-backports main" >/etc/apt/sources.list.d/ditbench-backports.list
  fi
  apt-get update -qq
  # Its service would listen on every interface without asking anybody: the tests start their own, in private.
  if command -v systemctl >/dev/null 2>&1; then systemctl mask adbd.service >/dev/null 2>&1 || true; fi
  if [ "$release" = bookworm ]; then
    apt-get install -y -qq -t bookworm-backports "${wanted[@]}" >/dev/null
  else
    apt-get install -y -qq "${wanted[@]}" >/dev/null
  fi
fi
if [ ${#tools[@]} -gt 0 ]; then
  apt-get update -qq
  apt-get install -y -qq "${tools[@]}" >/dev/null
fi
