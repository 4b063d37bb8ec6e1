# Removes what a lab left: its processes, namespaces and files.
# Usage: sh cleanup.sh ID DIR [wait]
#   wait: first sleep until standard input ends, which is when the lab's owner closed the pipe or died.
PATH=$PATH:/usr/sbin:/sbin
id=$1
dir=$2
# Ctrl-C reaches the owner; this script has to outlive it.
trap '' INT TERM HUP
[ "$3" = wait ] && cat >/dev/null
[ -e "$dir/keep" ] && exit 0

# Every process that the lab starts carries its id in the environment; a shell that a user opened inside a
# namespace does not, and is found by the namespace.
victims() {
    grep -lszFx "DRAGONFLOW_LAB=$id" /proc/[0-9]*/environ | cut -d/ -f3
    for netns in /run/netns/"$id"-*; do
        [ -e "$netns" ] && ip netns pids "${netns##*/}"
    done
}
tries=0
while pids=$(victims) && [ -n "$pids" ] && [ $tries -lt 100 ]; do
    kill -9 $pids 2>/dev/null
    tries=$((tries + 1))
    sleep 0.02
done
for netns in /run/netns/"$id"-*; do
    [ -e "$netns" ] && ip netns del "${netns##*/}"
done
# The fast path of a host keeps its pins in a file system of its own there.
for pins in "$dir"/bpf-*; do
    [ -e "$pins" ] && umount -l "$pins"
done
rm -rf "$dir"
