#!/usr/bin/env bash
# Fetches Mesa's lavapipe, a Vulkan driver that computes on the processor, for checks of WebGPU without a GPU: scripts/devices/lavapipe.sh FOLDER
# Debian's packages are unpacked into FOLDER, and nothing is installed; FOLDER/environment then names what a program needs. Debian 12's own
# Mesa (22.3) is too old for WebGPU, so there it is that of its backports. Where it cannot be had it says so and makes nothing.
set -euo pipefail
[ $# = 1 ] || { sed -n 2,4p "$0" >&2; exit 2; }
[ -e "$1/environment" ] && exit 0
[ ! -e "$1" ] || [ -z "$(ls -A "$1")" ] || { echo "$1 is not empty: name a new folder" >&2; exit 2; }
absent() {
  echo "lavapipe is not set up: $1 is not available" >&2
  exit 0
}
for program in apt-get apt-cache dpkg-deb; do
  command -v "$program" >/dev/null 2>&1 || absent "$program (this is no Debian)"
done
codename=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
[ -n "$codename" ] || absent "the name of this release"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work"/{sources,lists/partial,cache/archives/partial,debs,root}
keyring=/usr/share/keyrings/debian-archive-keyring.gpg
[ -e "$keyring" ] || absent "$keyring"
suites="$codename"
[ "$codename" = bookworm ] && suites="bookworm bookworm-backports"
for suite in $suites; do
  echo "deb [signed-by=$keyring] http://deb.debian.org/debian $suite main"
done >"$work/sources/debian.list"
# Lists and packages of our own: neither the system's are touched nor rights needed for it.
options=(-o "Dir::Etc::SourceList=/dev/null" -o "Dir::Etc::SourceParts=$work/sources" -o "Dir::State::Lists=$work/lists"
  -o "Dir::Cache=$work/cache" -o "Debug::NoLocking=1" -o "APT::Sandbox::User=$(id -un)")
apt-get "${options[@]}" update -qq >&2 || absent "Debian's list of packages"
wanted=mesa-vulkan-drivers
[ "$codename" = bookworm ] && wanted=mesa-vulkan-drivers/bookworm-backports
# What it needs and this machine lacks; the loader, too, which other packages only recommend.
packages=$(apt-get "${options[@]}" --simulate --no-install-recommends install "$wanted" libvulkan1 | sed -n 's/^Inst \([^ ]*\) \(\[[^]]*\] \)\?(\([^ ]*\) .*/\1=\3/p') ||
  absent "$wanted in Debian's list of packages"
grep -q '^libvulkan1=' <<<"$packages" || packages+=$'\n'libvulkan1
grep -q '^mesa-vulkan-drivers=' <<<"$packages" || packages+=$'\n'$wanted
(cd "$work/debs" && apt-get "${options[@]}" download -qq $packages >&2) || absent "Debian's packages"
for package in "$work"/debs/*.deb; do dpkg-deb -x "$package" "$work/root"; done
driver=$(find "$work/root/usr/share/vulkan/icd.d" -name 'lvp_icd*.json' | head -n 1)
library=$(find "$work/root/usr/lib" -name libvulkan_lvp.so | head -n 1)
[ -n "$driver" ] && [ -n "$library" ] || absent "lavapipe in $wanted"
rm -rf "$1"
mkdir -p "$1"
folder=$(cd "$1" && pwd)
mv "$work"/root/* "$folder"
library=$folder${library#"$work/root"}
sed "s#\"library_path\": *\"[^\"]*\"#\"library_path\": \"$library\"#" "$folder${driver#"$work/root"}" >"$folder/driver.json"
cat >"$folder/environment" <<ENVIRONMENT
LD_LIBRARY_PATH=$(dirname "$library")
VK_DRIVER_FILES=$folder/driver.json
VK_ICD_FILENAMES=$folder/driver.json
ENVIRONMENT
