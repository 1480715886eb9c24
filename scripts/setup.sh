#!/usr/bin/env bash
# Makes a machine ready: Debian packages from apt-packages.txt, and the Python environment .venv from requirements.txt.
# Does nothing, quickly, where all is there already. GRAFT_NO_APT=1 skips the first part (other systems).
set -euo pipefail
cd "$(dirname "$0")/.."

say() { printf 'setup: %s\n' "$*" >&2; }

install_packages() {
  local wanted missing=() name sudo=()
  if [ -n "${GRAFT_NO_APT:-}" ] || ! command -v dpkg-query >/dev/null; then
    say "not a Debian system, or GRAFT_NO_APT is set: the packages in scripts/apt-packages.txt are taken as installed"
    return
  fi
  mapfile -t wanted < <(grep -v '^#' scripts/apt-packages.txt)
  local installed
  installed=$(dpkg-query -W -f '${db:Status-Status} ${Package}\n' "${wanted[@]}" 2>/dev/null | sed -n 's/^installed //p' || true)
  for name in "${wanted[@]}"; do
    grep -qxF "$name" <<<"$installed" || missing+=("$name")
  done
  [ ${#missing[@]} -eq 0 ] && return
  if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null || { say "missing packages, and neither root nor sudo: ${missing[*]}"; exit 1; }
    sudo=(sudo)
  fi
  say "installing ${missing[*]}"
  "${sudo[@]}" apt-get update -q >&2
  "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "${missing[@]}" >&2
}

# The first Python from 3.11 to 3.13 that can make environments; the wheels in requirements.txt exist for these.
find_python() {
  local candidate
  for candidate in python3.11 python3 /usr/bin/python3 python3.12 python3.13; do
    if "$candidate" -c 'import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null; then
      command -v "$candidate"
      return
    fi
  done
  say "no Python 3.11 to 3.13 with the venv module was found"
  exit 1
}

make_environment() {
  local stamp=.venv/.requirements.sha256 want
  want=$(sha256sum <scripts/requirements.txt)
  if [ -x .venv/bin/python ] && [ "$(cat $stamp 2>/dev/null)" = "$want" ] && .venv/bin/python -c '' 2>/dev/null; then
    return
  fi
  if ! .venv/bin/python -c 'import pip' 2>/dev/null; then
    local python
    python=$(find_python)
    say "creating .venv with $python"
    rm -rf .venv
    "$python" -m venv .venv
  fi
  say "installing Python packages into .venv"
  .venv/bin/python -m pip install --quiet --disable-pip-version-check --requirement scripts/requirements.txt >&2
  printf '%s\n' "$want" >$stamp
}

install_packages
make_environment
