#!/bin/sh
# SPDX-License-Identifier: MIT
# count.sh FOLDER: "PASSED FAILED SKIPPED" of the tests whose logs lie there.  A log that tells how many cases it ran
# (GoogleTest, Python's unittest, or a line "N passed, N failed, N skipped") counts as so many, any other as one.
set -eu
passed=0 failed=0 skipped=0
for trs in "$1"/*.trs; do
    result=$(sed -n 's/^:global-test-result: //p' "$trs")
    set -- $(awk '
        /^\[==========\] [0-9]+ tests? from .* ran\./ { ran = $2 }
        /^\[  PASSED  \] [0-9]+ test/ { p = $4 }
        /^\[  FAILED  \] [0-9]+ test/ { f = $4 }
        /^\[  SKIPPED \] [0-9]+ test/ { s = $4 }
        /^Ran [0-9]+ tests? in / { ran = $2; python = 1 }
        python && match($0, /skipped=[0-9]+/) { s = substr($0, RSTART + 8, RLENGTH - 8) }
        python && match($0, /failures=[0-9]+/) { f += substr($0, RSTART + 9, RLENGTH - 9) }
        python && match($0, /errors=[0-9]+/) { f += substr($0, RSTART + 7, RLENGTH - 7) }
        /^[0-9]+ passed, [0-9]+ failed, [0-9]+ skipped$/ { ran = 1; p = $1; f = $3; s = $5 }
        END { if (python) p = ran - f - s; print p + 0, f + 0, s + 0 }' "${trs%.trs}.log")
    case $result in
    PASS)
        [ "$(($1 + $2 + $3))" -gt 0 ] || set -- 1 0 0
        ;;
    SKIP)
        [ "$3" -gt 0 ] || set -- 0 0 1
        ;;
    *)
        [ "$2" -gt 0 ] || set -- "$1" 1 "$3"
        ;;
    esac
    passed=$((passed + $1)) failed=$((failed + $2)) skipped=$((skipped + $3))
done
echo $passed $failed $skipped
