#!/bin/sh
# SPDX-License-Identifier: MIT
# po/POTFILES.in names every source that has messages, and none that hasn't; every language says all of them, none is
# doubtful, and the formats agree.
set -eu
export LC_ALL=C
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

cd "$TOP_SRCDIR"
grep -v '^#' po/POTFILES.in | sort >"$work/listed"
find core tools magick-coder gimp-plugin plugins -name "*.[ch]" -o -name "*.cc" -o -name "*.cpp" |
    xargs grep -lE '\bN?_\("|\bgettext\("' | sort >"$work/found"
diff -u "$work/listed" "$work/found"
echo "$(wc -l <"$work/found") sources"

sh po/messages.sh >"$work/raiiaf.pot"
for catalogue in po/*.po; do
    msgfmt --check --statistics -o /dev/null "$catalogue" 2>"$work/told" || { cat "$work/told"; exit 1; }
    msgcmp "$catalogue" "$work/raiiaf.pot"
    echo "$catalogue: $(cat "$work/told")"
done
