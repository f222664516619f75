#!/bin/sh
# SPDX-License-Identifier: MIT
# po/POTFILES.in names every source that has messages, and none that hasn't.
set -eu
export LC_ALL=C
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

cd "$TOP_SRCDIR"
grep -v '^#' po/POTFILES.in | sort >"$work/listed"
find core tools magick-coder gimp-plugin plugins -name "*.[ch]" -o -name "*.cc" -o -name "*.cpp" | xargs grep -lE '\bN?_\("|\bgettext\("' | sort >"$work/found"
diff -u "$work/listed" "$work/found"
echo "$(wc -l <"$work/found") sources"
