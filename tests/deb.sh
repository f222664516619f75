#!/bin/sh
# SPDX-License-Identifier: MIT
# deb.sh FOLDER: the Debian packages there are without lintian's errors, can be installed in a fresh root of this Debian,
# make its programs open .raiiaf files, with nothing set in their environment, and leave nothing when they go.
# Takes root or sudo, and the network.
set -eu
debs=${1:?names the folder of the packages}
top=$(cd "$(dirname "$0")/.." && pwd)
. "$top/tests/packages.sh"

# It isn't for Debian's archive, where a bug report announces a new package.
lintian --allow-root --fail-on error,warning --suppress-tags initial-upload-closes-no-bugs "$debs"/*.changes

root=$(mktemp -d "${TMPDIR:-/var/tmp}/raiiaf-deb.XXXXXX")
trap 'remove_root "$root"; rm -f "$root.log"' EXIT
trap 'exit 130' INT TERM
chmod 755 "$root"
make_root "$root" "$VERSION_CODENAME"
in_root() {
    as_root chroot "$@"
}

as_root mkdir "$root/packages"
as_root cp "$debs"/*.deb "$root/packages"
in_root "$root" env -i PATH="$PATH" HOME=/root DEBIAN_FRONTEND=noninteractive sh -euc '
    apt-get -q update
    cd /packages
    apt-get -q -y install ./*.deb
    apt-get clean
    useradd --create-home reader' >"$root.log" 2>&1 || {
    tail -n 40 "$root.log"
    exit 1
}
du -sh --one-file-system "$root"
as_root cp "$top/doc/sample/lighthouse.raiiaf" "$root/home/reader/x.raiiaf"

in_root --userspec=reader:reader "$root" env -i PATH=/usr/bin:/bin HOME=/home/reader sh -eu <<'JOB'
cd
raiiaf verify x.raiiaf
raiiaf extract x.raiiaf --image image.png

# same NAME PICTURE: it has the pixels of the embedded image.
same() {
    [ "$(compare -metric AE "$2" image.png null: 2>&1)" = 0 ] || { echo "$1 shows something else"; exit 1; }
    echo "$1 reads the sample"
}
if [ -x /usr/bin/magick ]; then
    magick convert x.raiiaf y.png
    magick-im7.q16hdri x.raiiaf hdri.png
    same 'ImageMagick with HDRI' hdri.png
else
    convert x.raiiaf y.png
fi
same ImageMagick y.png

gdalinfo x.raiiaf | grep -x 'Driver: RAIIAF/Rich AI Image Artifact Format'
gdalinfo -stats 'RAIIAF:"x.raiiaf":latent:final' | grep -m 1 STATISTICS_MEAN
gdal_translate -q -of PNG x.raiiaf gdal.png
same GDAL gdal.png

command=$(sed -n 's/^Exec=//p' /usr/share/thumbnailers/raiiaf.thumbnailer)
$(echo "$command" | sed "s|%s|256|; s|%u|file://$HOME/x.raiiaf|; s|%o|thumbnail.png|")
identify thumbnail.png | grep 256x171

save='(let* ((image (car (gimp-file-load RUN-NONINTERACTIVE "x.raiiaf" "x.raiiaf"))))'
if [ -x /usr/bin/gimp-console-3.0 ]; then
    save='(let* ((image (car (gimp-file-load RUN-NONINTERACTIVE "x.raiiaf"))))'
    timeout 300 gimp-console-3.0 -n -i -d -f -s -c --batch-interpreter=plug-in-script-fu-eval \
        -b "$save (gimp-file-save RUN-NONINTERACTIVE image \"gimp.png\"))" --quit
else
    timeout 300 gimp-console-2.10 -n -i -d -f -s -c \
        -b "$save (gimp-file-save RUN-NONINTERACTIVE image (car (gimp-image-get-active-drawable image)) \"gimp.png\" \"gimp.png\"))" \
        -b '(gimp-quit 0)'
fi
same GIMP gimp.png

# Those that nothing above has loaded too.
dpkg -L $(dpkg-query -W -f '${Package}\n' '*raiiaf*') | grep '\.so$\|glycin-raiiaf$' >programs
[ "$(wc -l <programs)" -ge 5 ]
if xargs ldd <programs | grep 'not found'; then exit 1; fi
JOB

in_root "$root" env -i PATH="$PATH" HOME=/root DEBIAN_FRONTEND=noninteractive sh -euc '
    apt-get -q -y purge "libraiiaf*" "raiiaf-*" >/dev/null
    rm -r /packages /home/reader
    if find / -xdev -name "*raiiaf*" | grep .; then exit 1; fi
    if grep -r raiiaf /usr/share/mime /usr/share/applications /usr/lib/*/gdk-pixbuf-2.0/*/loaders.cache; then exit 1; fi'
echo "the packages are gone"
