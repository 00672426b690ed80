# Shared by the scripts: sourced, not run. Leaves the shell in the checkout's root.

set -eu
cd "$(dirname "$0")/.."
command -v cargo >/dev/null || PATH="$HOME/.cargo/bin:$PATH"

say() { printf '== %s\n' "$*"; }
run() { printf '+ %s\n' "$*" >&2; "$@"; }
die() { printf '%s: %s\n' "$(basename "$0")" "$*" >&2; exit 1; }
is_root() { [ "$(id -u)" = 0 ]; }

# need COMMAND...  Installs by apt the packages of those commands that are missing; says what to do where it cannot.
need() {
    missing=
    for command in "$@"; do
        have "$command" || missing="$missing $command"
    done
    [ -n "$missing" ] || return 0
    if ! is_root || ! command -v apt-get >/dev/null; then
        die "missing:$missing; install as root:$(for command in $missing; do printf ' %s' "$(package_of "$command")"; done)"
    fi
    run apt-get update -q </dev/null
    packages=$(for command in $missing; do package_of "$command"; done | tr '\n' ' ')
    say "installing $packages"
    # shellcheck disable=SC2086
    without_services apt-get install -y -q --no-install-recommends $packages </dev/null
    for command in $missing; do
        have "$command" || die "$(package_of "$command") is installed, and yet there is no $command"
    done
}

# Runs apt-get so that the services of the packages are not started: we want their programs only. systemd's helper and
# sysvinit's both ask policy-rc.d, and nothing else; one that is there stays in force.
without_services() {
    (
        policy=/usr/sbin/policy-rc.d
        if [ ! -e "$policy" ]; then
            trap 'rm -f "$policy"' EXIT
            trap 'exit 1' HUP INT TERM
            printf '#!/bin/sh\nexit 101\n' >"$policy"
            chmod 755 "$policy"
        fi
        DEBIAN_FRONTEND=noninteractive run "$@"
    )
}

# Whether a command is there and usable: a busybox that needs shared libraries does not run in an empty image.
have() {
    case $1 in
    busybox) command -v busybox >/dev/null && is_static "$(command -v busybox)" ;;
    *) command -v "$1" >/dev/null || [ -x "/usr/sbin/$1" ] ;;
    esac
}

package_of() {
    case $1 in
    busybox) echo busybox-static ;;
    cc) echo build-essential ;;
    # Newer Debian has the command line in a package of its own.
    docker) if apt-cache show docker-cli >/dev/null 2>&1; then echo docker-cli; else echo docker.io; fi ;;
    *) echo "$1" ;;
    esac
}

is_static() { ldd "$1" 2>&1 | grep -Eq 'statically linked|not a dynamic executable|not a valid dynamic program'; }

need_rust() {
    command -v cargo >/dev/null || die "Rust is needed: see https://rustup.rs"
    need cc
}

# Where cargo puts what it builds for this machine (.cargo/config.toml names the target).
built() { # PROFILE-DIRECTORY BINARY
    host=$(rustc -vV | sed -n 's/^host: //p')
    echo "$(cargo_target_dir)/$host/$1/$2"
}
cargo_target_dir() {
    target=${CARGO_TARGET_DIR:-target}
    case $target in /*) echo "$target" ;; *) echo "$PWD/$target" ;; esac
}
