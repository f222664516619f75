#!/bin/sh
# SPDX-License-Identifier: MIT
# installed.sh [DESTDIR]: what make install put below DESTDIR, or into the system, is complete and works.  Looking at
# the system takes a locale de_DE.UTF-8.
set -eu
destdir=${1:-}
top=$(cd "$(dirname "$0")/.." && pwd)
sample=$top/doc/sample/lighthouse.raiiaf
prefix=$destdir/usr/local
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

for file in bin/raiiaf include/raiiaf.h lib/libraiiaf.so lib/libraiiaf.a lib/pkgconfig/raiiaf.pc share/man/man1/raiiaf.1 \
    share/doc/raiiaf/format.md; do
    [ -e "$prefix/$file" ] || { echo "not installed: /usr/local/$file"; exit 1; }
done
if [ -n "$destdir" ]; then
    LD_LIBRARY_PATH=$prefix/lib
    export LD_LIBRARY_PATH
fi

"$prefix/bin/raiiaf" --version
"$prefix/bin/raiiaf" verify "$sample"
for catalogue in "$top"/po/*.po; do
    language=$(basename "$catalogue" .po)
    [ -s "$prefix/share/locale/$language/LC_MESSAGES/raiiaf.mo" ] || { echo "not installed: $language"; exit 1; }
    [ -z "$destdir" ] || continue
    # Since glibc 2.39 a C locale, C.UTF-8 too, ignores LANGUAGE.
    told=$(LC_ALL=de_DE.UTF-8 LANGUAGE=$language "$prefix/bin/raiiaf" verify /nowhere 2>&1 || :)
    case $told in
    *"can't be opened"* | "") echo "$language isn't spoken: $told"; exit 1 ;;
    esac
done

cat >"$work/program.c" <<'PROGRAM'
#include <raiiaf.h>
#include <stdio.h>

int main(int count, char **names)
{
    raiiaf_file *file;
    raiiaf_error error;
    if (count < 2 || raiiaf_open_path(&file, names[1], NULL, &error)) {
        puts(count < 2 ? "no file" : error.text);
        return 1;
    }
    printf("%s: %zu latents\n", raiiaf_name(file), raiiaf_latent_count(file));
    raiiaf_close(file);
    return 0;
}
PROGRAM
# shellcheck disable=SC2046 # flags
cc -o "$work/program" "$work/program.c" \
    $(PKG_CONFIG_PATH=$prefix/lib/pkgconfig pkg-config --define-variable=prefix="$prefix" --cflags --libs raiiaf)
"$work/program" "$sample"

cd "$work"
system=$destdir$(pkg-config --variable=gdk_pixbuf_moduledir gdk-pixbuf-2.0)
if pkg-config --exists Qt6Core; then
    qt=$(pkg-config --variable=libdir Qt6Core)/qt6
else
    qt=$(pkg-config --variable=libdir Qt5Core)/qt5
fi
for file in "$system/libpixbufloader-raiiaf.so" "$destdir$(pkg-config --variable=libdir imlib2)/imlib2/loaders/raiiaf.so" \
    "$destdir$qt/plugins/imageformats/libraiiaf_qt.so" "$prefix/share/mime/packages/raiiaf.xml" \
    "$prefix/share/thumbnailers/raiiaf.thumbnailer" "$prefix/share/applications/raiiaf-feh.desktop"; do
    [ -e "$file" ] || { echo "not installed: ${file#"$destdir"}"; exit 1; }
done
if [ -d /usr/share/glycin-loaders/1+ ]; then
    [ -x "$prefix/libexec/glycin-loaders/1+/glycin-raiiaf" ] || { echo "not installed: glycin-raiiaf"; exit 1; }
    grep -qx "Exec=/usr/local/libexec/glycin-loaders/1+/glycin-raiiaf" \
        "$prefix/share/glycin-loaders/1+/conf.d/glycin-raiiaf.conf"
fi
if [ -z "$destdir" ]; then
    gio info -a standard::content-type "$sample" | grep image/x-raiiaf
    gdk-pixbuf-thumbnailer -s 128 "file://$sample" thumbnail.png
    [ -s thumbnail.png ]
    feh --list "$sample" | grep 768
    [ -e "$prefix/share/applications/mimeinfo.cache" ]
    echo "the desktop knows the sample"
fi

found=no
for folder in "$destdir"/usr/lib/*/ImageMagick-*/modules-*/coders; do
    [ -e "$folder/raiiaf.so" ] || continue
    found=yes
    [ -e "$folder/raiiaf.la" ] || { echo "not installed: raiiaf.la beside raiiaf.so"; exit 1; }
    case $folder in
    */ImageMagick-6.*) convert=/usr/bin/convert-im6.q16 ;;
    */modules-Q16HDRI/*) convert=/usr/bin/magick-im7.q16hdri ;;
    *) convert=/usr/bin/magick-im7.q16 ;;
    esac
    if [ -n "$destdir" ]; then
        MAGICK_CODER_MODULE_PATH=$folder:${folder#"$destdir"}
        export MAGICK_CODER_MODULE_PATH
    fi
    "$convert" "$sample" "$work/picture.png"
    [ -s "$work/picture.png" ]
    echo "$convert reads the sample"
done
[ $found = yes ] || { echo "no coder for ImageMagick is installed"; exit 1; }

found=no
for plugin in "$destdir"/usr/lib/gimp/2.0/plug-ins/raiiaf/raiiaf "$destdir"/usr/lib/*/gimp/3.0/plug-ins/raiiaf/raiiaf; do
    [ -e "$plugin" ] || continue
    found=yes
    if ldd "$plugin" | grep 'not found'; then exit 1; fi
    echo "$plugin finds its libraries"
done
[ $found = yes ] || { echo "no plug-in for GIMP is installed"; exit 1; }
