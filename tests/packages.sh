# SPDX-License-Identifier: MIT
# Sourced by the scripts that install something.  The one list of Debian packages: what a build needs, what its tests need
# besides, and how they get here.

. /etc/os-release
debian=${VERSION_ID:-unknown}

build_packages="build-essential autoconf automake libtool gettext pkg-config libpng-dev zlib1g-dev libzstd-dev
    libzfp-dev nettle-dev libexpat1-dev libxxhash-dev imagemagick
    libgdk-pixbuf-2.0-dev libimlib2-dev libgdal-dev shared-mime-info desktop-file-utils"
test_packages="libgtest-dev libjson-c-dev python3 python3-numpy python3-zstandard python3-zfpy locales xz-utils binutils
    libgdk-pixbuf2.0-bin webp-pixbuf-loader libglib2.0-bin python3-gi gir1.2-gdkpixbuf-2.0 feh xvfb
    gdal-bin python3-gdal gimp xdotool libimage-exiftool-perl zsh
    debootstrap debhelper lintian"
case $debian in
12)
    build_packages="$build_packages libmagickcore-6.q16-dev qtbase5-dev libgimp2.0-dev"
    test_packages="$test_packages clang-format"
    ;;
13)
    build_packages="$build_packages libmagickcore-7.q16-dev qt6-base-dev libgimp-3.0-dev"
    test_packages="$test_packages libmagickcore-7.q16hdri-dev imagemagick-7.q16hdri libglycin-1-dev libseccomp-dev"
    ;;
*)
    echo "$0: this script knows the packages of Debian 12 and 13, not of '${PRETTY_NAME:-this system}'" >&2
    echo "$0: CONTRIBUTING.md says what to install; configure says what is missing" >&2
    exit 2
    ;;
esac

as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    else
        sudo "$@"
    fi
}

# Installs those of the packages named that aren't there.
install_packages() {
    missing=
    for package in "$@"; do
        dpkg-query -W -f '${db:Status-Status}\n' "$package" 2>/dev/null | grep -qx installed ||
            missing="$missing $package"
    done
    [ -n "$missing" ] || return 0
    echo "installing:$missing"
    as_root apt-get -q update
    # shellcheck disable=SC2086 # a list
    as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -y install --no-install-recommends $missing
}

# The mirror of Debian that apt uses here, or nothing.
mirror() {
    apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Origin: Debian' 'Label: Debian' | head -n 1
}

# make_root FOLDER RELEASE: a fresh Debian, small and with its /proc and terminals.  It needn't outlive a loss of power.
make_root() {
    as_root debootstrap --variant=minbase "$2" "$1" "$(mirror)" >"$1.log" 2>&1 || {
        tail -n 20 "$1.log"
        return 1
    }
    echo force-unsafe-io | as_root tee "$1/etc/dpkg/dpkg.cfg.d/unsafe-io" >/dev/null
    apt-config dump | grep -i '^Acquire::https\?::Proxy' | as_root tee "$1/etc/apt/apt.conf.d/90proxy" >/dev/null
    as_root mount --bind /dev/pts "$1/dev/pts" || return 1
    as_root mount -t proc proc "$1/proc" || as_root mount --bind /proc "$1/proc"
}

# remove_root FOLDER
remove_root() {
    for folder in proc dev/pts; do
        mountpoint -q "$1/$folder" && as_root umount "$1/$folder"
    done
    as_root rm -rf --one-file-system "$1"
}
