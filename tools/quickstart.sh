#!/bin/sh
# SPDX-License-Identifier: MIT
# Builds raiiaf in build/ and shows on the sample what it does: ImageMagick opens, converts and re-saves a .raiiaf file.
# Installs the Debian packages that this takes (as root or through sudo), and nothing else.
set -eu
top=$(cd "$(dirname "$0")/.." && pwd)
cd "$top"
. tests/packages.sh

# shellcheck disable=SC2086 # a list
install_packages $build_packages
[ -x configure ] || autoreconf -i
mkdir -p build
cd build
[ -f config.status ] || ../configure
make -s -j"$(nproc)"

if [ "$debian" = 12 ]; then
    convert=/usr/bin/convert
    identify=/usr/bin/identify
    module=magick6-q16
else
    convert="/usr/bin/magick convert"
    identify="/usr/bin/magick identify"
    module=magick7-q16
    case $(/usr/bin/magick -version) in
    *HDRI*) module=magick7-q16hdri ;;
    esac
fi
name=$(echo $module | tr 'a-z-' 'A-Z_')
coders=$(sed -n "s/^${name}_SYSTEM_CODERDIR = //p" tests/Makefile)
# ImageMagick finds an uninstalled coder so; after `make install` it needs no variable.
export MAGICK_CODER_MODULE_PATH="$top/build/magick-coder/$module:$coders"

# Shows a command as one would type it, and runs it.
show() {
    printf '\n$'
    for word in "$@"; do
        case $word in
        *[!A-Za-z0-9_./%-]*) printf " '%s'" "$word" ;;
        *) printf ' %s' "${word##/usr/bin/}" ;;
        esac
    done
    printf '\n'
    "$@"
}

cp "$top/doc/sample/lighthouse.raiiaf" .
rm -f picture.png small.raiiaf
# shellcheck disable=SC2086 # a program and its first argument
{
    show $convert lighthouse.raiiaf picture.png
    show $identify picture.png
    show $identify -format '%[raiiaf:prompt]\n' lighthouse.raiiaf
    show $convert lighthouse.raiiaf -resize 50% small.raiiaf
}
show tools/raiiaf info small.raiiaf
show tools/raiiaf verify lighthouse.raiiaf small.raiiaf

# What was shown, held against what should be.
for name in prompt seed; do
    before=$($identify -format "%[raiiaf:$name]" lighthouse.raiiaf)
    [ -n "$before" ] && [ "$before" = "$($identify -format "%[raiiaf:$name]" small.raiiaf)" ]
done
echo
echo "Prompt, settings, latents and environment are all in build/small.raiiaf; the picture is build/picture.png."
echo "To install: sudo make -C build install"
