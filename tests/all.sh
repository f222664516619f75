#!/bin/sh
# SPDX-License-Identifier: MIT
# Runs every test: on this Debian and, from Debian 12, in a Debian 13 root of its own, which it removes afterwards.
# Installs the packages that this takes (as root or through sudo).  The last line counts what passed, failed and was
# skipped; with CI=true, what was skipped has failed.
set -u
top=$(cd "$(dirname "$0")/.." && pwd)
cd "$top" || exit 2
. tests/packages.sh

work=$(mktemp -d "${TMPDIR:-/var/tmp}/raiiaf-tests.XXXXXX") || exit 2
chmod 755 "$work"
counts=$work/counts
root=$work/debian13
clean_up() {
    remove_root "$root"
    mountpoint -q "$work/small" && as_root umount "$work/small"
    as_root rm -rf --one-file-system "$work"
}
trap clean_up EXIT
trap 'exit 130' INT TERM

samples=${RAIIAF_SHARED:-$(dirname "$top")/shared}
RAIIAF_SHARED=$work/shared
export RAIIAF_SHARED LC_ALL=C.UTF-8 VERBOSE=1

# step NAME COMMAND...: runs a command and counts it; the end of what a failed one printed is told again at the very end.
step() {
    echo
    echo "==> Debian $debian: $1"
    step=$1 began=$(date +%s)
    shift
    { "$@" || echo "$step" >"$work/failed"; } 2>&1 | tee "$work/step.log"
    if [ ! -e "$work/failed" ]; then
        echo "==> Debian $debian: $step: $(($(date +%s) - began)) s"
        echo "1 0 0" >>"$counts"
    else
        rm "$work/failed"
        echo "==> Debian $debian: FAILED: $step"
        { tail -n 40 "$work/step.log"; echo "==> Debian $debian: FAILED: $step"; echo; } >>"$work/failures"
        echo "0 1 0" >>"$counts"
    fi
}

skip() {
    echo "==> Debian $debian: SKIPPED: $1" | tee -a "$work/failures"
    echo "0 0 1" >>"$counts"
}

# Tests run unprivileged: root may do what they want to see refused.  What only root can do is left to check_as_root.
unprivileged() {
    if [ "$(id -u)" = 0 ]; then
        set -- setpriv --reuid=nobody --regid=nogroup --clear-groups env HOME="$work/home" "$@"
    fi
    env TMPDIR="$work/tmp" GTEST_FILTER='-*.AsRoot*' "$@"
}

# The tree as one archive, without what a build left in it.
archive() {
    { git -c safe.directory="$top" ls-files -z -co --exclude-standard 2>/dev/null || find . -type f -print0; } |
        tar cf - --null --ignore-failed-read -T -
}

copy_tree() {
    mkdir -p "$work/home" "$work/tmp" "$work/src" "$work/build" "$work/sanitized" &&
        archive | tar xf - --no-same-owner -C "$work/src" || return 1
    if [ -d "$samples" ]; then
        cp -RL "$samples" "$work/shared" && chmod -R u+w "$work/shared" || return 1
    fi
    if [ "$(id -u)" = 0 ]; then
        chmod -R go+rX "$work/src" "$work/shared"
        chown -R nobody:nogroup "$work/home" "$work/tmp" "$work/src" "$work/build" "$work/sanitized"
    fi
}

# A file system that is soon full, for a test that can't mount one itself everywhere.
mount_small_disk() {
    mkdir -p "$work/small" && as_root mount -t tmpfs -o size=1m,mode=1777 tmpfs "$work/small" &&
        export RAIIAF_SMALL_DISK="$work/small"
}

in_folder() {
    (cd "$1" && shift && unprivileged "$@")
}

make_locales() {
    mkdir -p "$work/locales" && for language in de_DE tr_TR; do
        localedef -i $language -f UTF-8 "$work/locales/$language.UTF-8" || return 1
    done
}

# check_in FOLDER [LOCALE]: make check, and what its tests counted.  LOCPATH only where it is needed: with it, the C
# library's newlocale leaks.
check_in() {
    in_folder "$1" env ${2:+CHECK_LOCALE="$2" LOCPATH="$work/locales"} make -k -j2 check
    result=$?
    sh "$top/tests/count.sh" "$1/tests" >>"$counts"
    return $result
}

check_as_root() {
    as_root env RAIIAF_DATA="$work/src/tests/data" "$work/build/tests/files" --gtest_filter='*.AsRoot*' >"$work/as-root"
    result=$?
    cat "$work/as-root"
    grep -q '^\[  PASSED  \] [1-9]' "$work/as-root" && return $result
}

install_and_look() {
    in_folder "$work/build" make -s install DESTDIR="$work/tmp/installed" &&
        sh tests/installed.sh "$work/tmp/installed"
}

install_for_real() {
    as_root make -s -C "$work/build" install && env LOCPATH="$work/locales" sh tests/installed.sh
    result=$?
    as_root make -s -C "$work/build" uninstall
    return $result
}

# clang-format's output differs from version to version: the project's is Debian 12's.
check_format() {
    clang-format --version | grep -q 'version 14\.' || return 1
    find core tools magick-coder gimp-plugin plugins tests \
        \( -name '*.c' -o -name '*.h' -o -name '*.cc' -o -name '*.cpp' \) -print0 |
        xargs -0 clang-format --style=file --dry-run --Werror
}

root_possible() {
    if [ "$(id -u)" != 0 ] && ! sudo -n true 2>/dev/null; then
        echo "it takes root or sudo"
    elif [ -z "$(mirror)" ]; then
        echo "apt's sources name no mirror of Debian"
    fi
}

make_debian13() {
    make_root "$root" trixie && copy_to_debian13 tree &&
        if [ -d "$work/shared" ]; then as_root cp -R "$work/shared" "$root/raiiaf/shared"; fi
}

copy_to_debian13() {
    as_root mkdir -p "$root/raiiaf/$1" && archive | as_root tar xf - --no-same-owner -C "$root/raiiaf/$1"
}

in_debian13() {
    as_root chroot "$root" env -i PATH="$PATH:/usr/sbin:/sbin" HOME=/root CI="${CI:-}" RAIIAF_COUNTS=/raiiaf/counts \
        ${http_proxy:+http_proxy="$http_proxy"} ${https_proxy:+https_proxy="$https_proxy"} "$@" </dev/null
}

# With nothing on that Debian but what the command itself installs.
follow_readme() {
    copy_to_debian13 readme && in_debian13 sh /raiiaf/readme/tools/quickstart.sh
    result=$?
    as_root rm -rf "$root/raiiaf/readme"
    return $result
}

run_debian13() {
    in_debian13 sh /raiiaf/tree/tests/all.sh
    result=$?
    cat "$root/raiiaf/counts" >>"$counts"
    return $result
}

# shellcheck disable=SC2086 # lists
step "packages" install_packages $build_packages $test_packages
step "a copy of the tree" copy_tree
step "locales" make_locales
mount_small_disk
[ "$debian" = 12 ] && step "source format" check_format
step "autoreconf" in_folder "$work/src" autoreconf -fi
step "configure" in_folder "$work/build" ../src/configure --enable-werror
step "make" in_folder "$work/build" make -j2
step "make check, C.UTF-8" check_in "$work/build"
for locale in de_DE.UTF-8 tr_TR.UTF-8; do
    step "make check, $locale" check_in "$work/build" $locale
done
step "tests as root" check_as_root
step "make install, DESTDIR" install_and_look
why=$(root_possible)
if [ -z "$why" ]; then
    step "make deb" in_folder "$work/build" make deb
    step "Debian packages" sh tests/deb.sh "$work/build/deb"
else
    skip "Debian packages: $why"
fi
# Only where the system is ours to change.
[ "${CI:-}" = true ] || [ -n "${RAIIAF_COUNTS:-}" ] && step "make install" install_for_real
if [ -z "${RAIIAF_COUNTS:-}" ]; then # once is enough
    step "make distcheck" in_folder "$work/build" make -j2 distcheck
    step "configure, sanitizers" in_folder "$work/sanitized" ../src/configure --enable-werror --enable-sanitizers
    step "make check, sanitizers" check_in "$work/sanitized"
fi

if [ "$debian" = 12 ]; then
    if [ -z "$why" ]; then
        step "a Debian 13 root" make_debian13
        step "the README's first command on Debian 13" follow_readme
        step "Debian 13" run_debian13
    else
        skip "the tests on Debian 13: $why"
    fi
fi

if [ -n "${RAIIAF_COUNTS:-}" ]; then
    cp "$counts" "$RAIIAF_COUNTS"
fi
echo
[ ! -e "$work/failures" ] || cat "$work/failures"
set -- $(awk '{ p += $1; f += $2; s += $3 } END { print p + 0, f + 0, s + 0 }' "$counts")
if [ "${CI:-}" = true ] && [ "$3" -gt 0 ]; then
    echo "nothing may be skipped here"
fi
if [ -n "${RAIIAF_COUNTS:-}" ]; then
    echo "Debian $debian: $1 passed, $2 failed, $3 skipped"
else
    echo "$1 passed, $2 failed, $3 skipped"
fi
[ "$2" = 0 ] && { [ "${CI:-}" != true ] || [ "$3" = 0 ]; }
