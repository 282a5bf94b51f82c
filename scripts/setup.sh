#!/bin/sh
# Makes .venv with everything that the program needs; knows nothing of the program itself.
# usage: scripts/setup.sh [run|dev|evaluation]
#   run: the program and its models;  dev: also the test tools, no models;  evaluation: what measures quality
# PYTHON=/path/to/python3 chooses the interpreter, TORCH_INDEX=URL a further index that torch may come from.
set -eu
cd "$(dirname "$0")/.."
mode=${1:-run}
venv=.venv
say() { printf '%s\n' "setup: $*" >&2; }

new_enough() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; }

find_python() {
    for candidate in ${PYTHON:-python3.11 python3.12 python3.13 python3}; do
        if new_enough "$candidate"; then echo "$candidate"; return 0; fi
    done
    say "Python 3.11 or newer is needed; install it (Debian: apt install python3.11) or name it: make PYTHON=/path/to/python3"
    return 1
}

# How to become root for apt: "" as root, "sudo -n" without a password, "no" otherwise.
root_prefix() {
    if ! command -v apt-get >/dev/null; then echo no
    elif [ "$(id -u)" = 0 ]; then echo ""
    elif command -v sudo >/dev/null && sudo -n true 2>/dev/null; then echo "sudo -n"
    else echo no
    fi
}

apt_install() {
    prefix=$(root_prefix)
    [ "$prefix" != no ] || return 1
    export DEBIAN_FRONTEND=noninteractive
    $prefix apt-get install -y -qq --no-install-recommends "$@" >/dev/null 2>&1 && return 0
    $prefix apt-get update -qq >/dev/null 2>&1 || true
    $prefix apt-get install -y -qq --no-install-recommends "$@" >/dev/null 2>&1
}

system_libraries() {
    command -v ldconfig >/dev/null || return 0
    have=$(ldconfig -p 2>/dev/null) || return 0
    missing=""
    while read -r library package; do
        case $have in *"$library"*) ;; *) missing="$missing $package" ;; esac
    done <<'LIST'
libportaudio.so.2 libportaudio2
libxcb-xinerama.so.0 libxcb-xinerama0
libxcb-icccm.so.4 libxcb-icccm4
libxcb-image.so.0 libxcb-image0
libxcb-keysyms.so.1 libxcb-keysyms1
libxcb-randr.so.0 libxcb-randr0
libxcb-render-util.so.0 libxcb-render-util0
libxcb-shape.so.0 libxcb-shape0
libxkbcommon-x11.so.0 libxkbcommon-x11-0
libEGL.so.1 libegl1
libGL.so.1 libgl1
libdbus-1.so.3 libdbus-1-3
libfontconfig.so.1 libfontconfig1
LIST
    [ -n "$missing" ] || return 0
    say "installing the system libraries$missing"
    # shellcheck disable=SC2086
    apt_install $missing || say "these system libraries are missing (sound and the window need them): sudo apt install$missing"
}

make_venv() {
    if [ -x $venv/bin/python ] && new_enough $venv/bin/python && $venv/bin/python -m pip --version >/dev/null 2>&1; then
        return 0
    fi
    python=$(find_python)
    if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
        version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
        apt_install "python$version-venv" || apt_install python3-venv || true
    fi
    "$python" -m venv $venv >/dev/null 2>&1 && return 0
    # Debian's Python without python3-venv can still make the folder, and its pip can put pip into it.
    if "$python" -m venv --clear --without-pip $venv && "$python" -m pip --python $venv/bin/python install -q pip; then
        return 0
    fi
    rm -rf $venv
    say "no virtual environment could be made: sudo apt install python3-venv"
    return 1
}

install() {  # install FILE: pip installs it unless the same text was installed before
    stamp=$venv/.installed-$1
    cat requirements*.txt | cmp -s - "$stamp" && return 0
    say "installing $1 (some minutes the first time)"
    $venv/bin/python -m pip install -q --disable-pip-version-check --progress-bar off \
        ${TORCH_INDEX:+--extra-index-url "$TORCH_INDEX"} -r "$1" || return 1
    cat requirements*.txt >"$stamp"
}

make_venv
if [ "$mode" = dev ]; then install requirements-dev.txt; exit 0; fi
if [ "$mode" = evaluation ]; then
    if install requirements-evaluation.txt; then exit 0; fi
    say "not all measures can be installed (pesq needs a C compiler); those that cannot are left out"
    while read -r package; do
        case $package in *==*) $venv/bin/python -m pip install -q --disable-pip-version-check "$package" || true ;; esac
    done <requirements-evaluation.txt
    exit 0
fi
if [ ! -e $venv/.installed-requirements.txt ]; then system_libraries; fi
install requirements.txt
if [ ! -e models/default/encoder.pt ]; then
    OMP_WAIT_POLICY=passive $venv/bin/python -m toolbox models fetch encoder
fi
