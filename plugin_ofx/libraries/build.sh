#!/usr/bin/env bash
# Builds what the effect links into a prefix of headers and archives, once:
#
#     plugin_ofx/libraries/build.sh PREFIX
#
# The sources are Debian's, with its security fixes, fetched with apt's own checks of their
# signatures. Nothing of the system changes: apt works here on lists and folders of its own, and
# needs no root. A prefix that stands already is left alone while recipe and compiler are the same.
set -euo pipefail

readonly HERE=$(cd "$(dirname "$0")" && pwd)
PREFIX=$(realpath -m -- "${1:?usage: build.sh PREFIX}")
readonly PREFIX
readonly SOURCES=(grpc protobuf abseil c-ares zlib)
# Of Debian's releases the one whose sources are known to build: the same on each newer Debian, whose
# protoc and gRPC plugin are of the same upstream versions (3.21.12, 1.51.1).
readonly DEBIAN_RELEASE=bookworm

die() { printf 'libraries: %s\n' "$*" >&2; exit 1; }

recipe() {
  cat "$HERE/build.sh" "$HERE/CMakeLists.txt"
  "${CXX:-c++}" --version
}

# The system's own archives, read for sources. Others (of drivers, of browsers) are left out. Debian's
# suites are those of the release above, whatever the system's own are called.
source_lists() {
  local targets origin uri suite component
  # shellcheck disable=SC2016 - these are apt's names
  targets=$(apt-get indextargets --format '$(ORIGIN) $(REPO_URI) $(RELEASE) $(COMPONENT)' 'Created-By: Packages')
  [[ -n "$targets" ]] || die "apt has no lists of packages here: run apt-get update, as root."
  sort -u <<<"$targets" | while read -r origin uri suite component; do
    case "$origin $suite" in
      *-backports* | *-proposed*) continue ;;
      Debian\ *-security | Debian\ *-updates) suite=$DEBIAN_RELEASE-${suite##*-} ;;
      Debian\ *) suite=$DEBIAN_RELEASE ;;
      Ubuntu\ *) ;;
      *) continue ;;
    esac
    printf 'deb-src %s %s %s\n' "$uri" "$suite" "$component"
  done | sort -u
}

# One source, into a folder of its own. Mirrors do not always hold what their lists name, those of
# the security archive least: what is missing there comes from the release itself.
fetch_source() {
  local folder=$1 apt=$2 source=$3 lists
  for lists in every release; do
    rm -rf "$folder"
    mkdir -p "$folder"
    (cd "$folder" && apt-get "${APT[@]}" -o "Dir::Etc::sourcelist=$apt/$lists.list" \
      source --download-only "$source") && return 0
  done
  return 1
}

fetch() {
  local apt=$1/apt source
  mkdir -p "$apt/lists/partial" "$apt/cache/archives/partial" "$apt/parts"
  source_lists >"$apt/every.list" || exit 1
  grep -v -e '-security ' "$apt/every.list" >"$apt/release.list" || return 1
  APT=(-q -o "Dir::Etc::sourceparts=$apt/parts" -o "Dir::State::lists=$apt/lists"
    -o "Dir::Cache=$apt/cache" -o APT::Sandbox::User= -o Acquire::Retries=3)
  apt-get "${APT[@]}" -o "Dir::Etc::sourcelist=$apt/every.list" update || return 1
  for source in "${SOURCES[@]}"; do
    fetch_source "$1/fetched/$source" "$apt" "$source" || return 1
  done
}

unpack() {
  local source
  for source in "${SOURCES[@]}"; do
    dpkg-source --no-check --extract "$1/fetched/$source/"*.dsc "$1/sources/$source"
  done
}

# Nothing is there yet, or what this script made.
is_ours() { [[ -f "$PREFIX/recipe" || -z "$(ls -A "$PREFIX" 2>/dev/null)" ]]; }

main() {
  local work key
  key=$(recipe | sha256sum | cut -c1-16)
  [[ -f "$PREFIX/recipe" && "$(cat "$PREFIX/recipe")" == "$key" ]] && return 0
  is_ours || die "$PREFIX holds files that this script did not make: name a new or an empty folder."
  work=$PREFIX.building
  rm -rf "$work"
  mkdir -p "$work/sources"
  { command -v apt-get >/dev/null && command -v dpkg-source >/dev/null && fetch "$work"; } || die \
    "gRPC's sources cannot be fetched from the system's package archives (the lines above say why):" \
    "go on line, or name in INBETWEEN_LIBRARIES a folder that this script made on another machine."
  unpack "$work"
  cmake -S "$HERE" -B "$work/build" "-DSOURCES=$work/sources" "-DCMAKE_INSTALL_PREFIX=$work/prefix"
  cmake --build "$work/build" --target libraries --parallel "$(nproc)"
  cmake --install "$work/build"
  echo "$key" >"$work/prefix/recipe"
  [[ ! -e "$PREFIX" ]] || mv -T "$PREFIX" "$work/old"
  mv -T "$work/prefix" "$PREFIX"
  rm -rf "$work"
}

main
