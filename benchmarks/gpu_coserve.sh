#!/usr/bin/env bash
# Correctness and speed of co-serving on this machine's GPU, in under ten minutes.
#   benchmarks/gpu_coserve.sh [flags of gpu_coserve.py]      results go to ${OUT:-benchmarks/results}
# Uses the loadsheet that $PYTHON has. Otherwise it makes build/venv-gpu on top of $PYTHON's packages,
# so that a CUDA build of torch that is already there is kept.
set -euo pipefail
cd "$(dirname "$0")/.."
python=${PYTHON:-python3}
out=${OUT:-benchmarks/results}

if ! "$python" -c 'import loadsheet, torch' 2>/dev/null; then
  "$python" -m venv build/venv-gpu
  inner=$(build/venv-gpu/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
  # not --system-site-packages: when $python is itself in a venv, that would skip its packages
  "$python" -c 'import sys; print(*(p for p in sys.path if p.endswith("-packages")), sep="\n")' \
    > "$inner/outer.pth"
  python=build/venv-gpu/bin/python
  if ! "$python" -m pip install --quiet --editable '.[torch]'; then
    echo 'Cannot install (no package index?): running from the source tree with what is here.' >&2
    export PYTHONPATH="$PWD/src${PYTHONPATH:+:$PYTHONPATH}"
  fi
fi

exec "$python" benchmarks/gpu_coserve.py --out "$out" "$@"
