#!/bin/sh
# SPDX-License-Identifier: MIT
# Prints the figures side by side; `make bench` runs it.  BENCH_SIZES="512 1024 2048" and BENCH_RUNS=9 say how much.
set -eu
: "${TOP_BUILDDIR:?is told by make bench}"
here=$(dirname "$0")
for python in "${PYTHON3:-python3}" python3 /usr/bin/python3; do
    if "$python" -c 'import numpy' 2>/dev/null; then
        "$python" "$here/bench.py"
        "$python" "$here/bench_desktop.py"
        "$python" "$here/bench_gdal.py"
        "$python" "$here/bench_gimp.py"
        "$python" "$here/bench_legacy.py"
        exit
    fi
done
echo 'the figures need Python with numpy: install python3-numpy' >&2
exit 1
