#!/usr/bin/env bash
# Check a machine with an NVIDIA GPU: gpu_check.sh RESULT.json [WHEELS [SECONDS]]
#
# WHEELS is a folder with a wheel of this package and of what it needs: `pip download` or `pip wheel` fills it elsewhere.
# They are installed, without a network, into a virtual environment that sees the packages of PYTHON, so that torch with
# CUDA, which takes gigabytes, need not be among them. Without WHEELS, PYTHON (default: python3) has everything.
#
# Run it again with the same RESULT.json to continue. RESULT.json.input holds input for that, up to 20 GB: remove it.
set -euo pipefail
usage="usage: $0 RESULT.json [WHEELS [SECONDS]]"
result=${1:?$usage}
wheels=${2:-}
seconds=${3:-450}
python=${PYTHON:-python3}

SECONDS=0
if [ -n "$wheels" ]; then
    [ -d "$wheels" ] || { echo "$0: $wheels is not a folder: name the folder with the wheels" >&2; exit 2; }
    venv=$(dirname "$result")/.gpu_check_venv
    if ! [ -e "$venv/installed" ]; then
        "$python" -m venv --clear --system-site-packages "$venv"
        "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-index --find-links "$wheels" \
            'visdiv-assets[clip,gpu]'
        touch "$venv/installed"
    fi
    python=$venv/bin/python
fi
# Installing counts, too.
left=$((seconds - SECONDS))
[ "$left" -ge 10 ] || { echo "$0: installing took all of the $seconds s: run it again" >&2; exit 1; }
exec "$python" -m visdiv_assets perf --gpu --json "$result" --seconds "$left" --folder "$result.input"
