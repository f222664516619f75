#!/bin/sh
# SPDX-License-Identifier: MIT
# The shared library exports what core/libraiiaf.sym lists, no more and no less, and raiiaf.h declares just that.
set -eu
export LC_ALL=C
list=$TOP_SRCDIR/core/libraiiaf.sym
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

nm -D --defined-only "$TOP_BUILDDIR/core/.libs/libraiiaf.so" | awk '{ print $3 }' | sort >"$work/exported"
tr '\n' ' ' <"$TOP_SRCDIR/core/raiiaf.h" | grep -o 'RAIIAF_API [^;(]*(' | grep -o 'raiiaf_[a-z0-9_]*(' | tr -d '(' |
    sort >"$work/declared"
diff -u "$list" "$work/exported"
diff -u "$list" "$work/declared"
echo "$(wc -l <"$list") symbols"
