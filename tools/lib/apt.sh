# shellcheck shell=bash
# SPDX-License-Identifier: MIT
#
# To be sourced. install_packages NAME... installs the missing ones of these Debian packages; on other systems it does nothing,
# and the user installs them. dashboard_packages contains the packages that the example dashboard needs to be built and run.

# shellcheck disable=SC2034 # used by the scripts that source this file
dashboard_packages=(qt6-declarative-dev qt6-declarative-dev-tools qml6-module-qtqml qml6-module-qtqml-models
    qml6-module-qtqml-workerscript qml6-module-qtquick qml6-module-qtquick-controls qml6-module-qtquick-layouts
    qml6-module-qtquick-shapes qml6-module-qtquick-templates qml6-module-qtquick-window)

install_packages()
{
    local name missing=() as_root=()
    command -v dpkg-query > /dev/null || return 0
    for name; do
        [[ $(dpkg-query -W -f='${db:Status-Status}' "$name" 2> /dev/null) == installed ]] || missing+=("$name")
    done
    ((${#missing[@]})) || return 0

    printf 'Installing %s\n' "${missing[*]}" >&2
    if ((EUID)); then
        command -v sudo > /dev/null || {
            printf 'Please install these packages: %s\n' "${missing[*]}" >&2
            return 1
        }
        as_root=(sudo)
        [[ -t 0 ]] || as_root+=(-n)
    fi
    # A package with a service, such as rabbitmq-server, starts it at once; policy-rc.d prevents that.
    "${as_root[@]}" bash -s -- "${missing[@]}" << 'END' >&2
set -euo pipefail
export DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8
policy=/usr/sbin/policy-rc.d
kept=$policy.amqpqt
restore()
{
    rm -f "$policy"
    if [[ -e $kept ]]; then
        mv "$kept" "$policy"
    fi
}
trap restore EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM
if [[ -e $policy && ! -e $kept ]]; then
    mv "$policy" "$kept"
fi
printf '#!/bin/sh\nexit 101\n' > "$policy"
chmod 755 "$policy"
apt-get -q -o DPkg::Lock::Timeout=300 update < /dev/null || echo 'The package lists could not be updated' >&2
apt-get -q -y -o DPkg::Lock::Timeout=300 install --no-install-recommends "$@" < /dev/null
END
}
