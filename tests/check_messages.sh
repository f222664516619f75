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

options=$(sed -n 's/^XGETTEXT_OPTIONS = //p' po/Makevars)
# shellcheck disable=SC2086 # a list
xgettext $options -f po/POTFILES.in -o "$work/raiiaf.pot"
for language in $(grep -v '^#' po/LINGUAS); do
    msgfmt --check --statistics -o /dev/null "po/$language.po" 2>"$work/told" || { cat "$work/told"; exit 1; }
    msgcmp "po/$language.po" "$work/raiiaf.pot"
    echo "$language: $(cat "$work/told")"
done
