#!/bin/sh
# Installs Debian packages, as root, without letting any of them start a service.
# Usage: sh setup.sh PACKAGE...
#
# The tests run their own Open vSwitch daemons inside network namespaces. The package openvswitch-switch
# would start one more for the whole machine. Debian's way to forbid that is a file policy-rc.d that ends
# with 101 (invoke-rc.d(8)); it is removed afterwards unless it was there before.
set -eu
policy=/usr/sbin/policy-rc.d
if [ ! -e $policy ]; then
    trap 'rm -f $policy' EXIT INT TERM
    printf '#!/bin/sh\nexit 101\n' >$policy
    chmod +x $policy
fi
export DEBIAN_FRONTEND=noninteractive
apt-get update
apt-get install --yes --no-install-recommends "$@"
