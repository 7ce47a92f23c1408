# The first process of the machine: it makes the room, and keeps it until it is killed, and everything else with it.
set -eu
home=$1

# What the programs of a node write outside their own folders stays in here.
for folder in /run /var/lib /var/log; do
    mount -t tmpfs tmpfs "$folder"
done
mkdir /run/lock

# kubelet sets these, and they are the kernel's, not the namespace's. It leaves alone what is as it wants it.
keep() {
    file=$home/$(echo "$1" | tr / .)
    echo "$2" >"$file"
    mount --bind "$file" "/proc/sys/$1"
}
keep vm/overcommit_memory 1
keep vm/panic_on_oom 0
keep kernel/panic 10
keep kernel/panic_on_oops 1
keep kernel/keys/root_maxkeys 1000000
keep kernel/keys/root_maxbytes 25000000

ip link set lo up
echo 1 >/proc/sys/net/ipv4/ip_forward
echo ready
# A shell that waits collects the processes that nobody else does.
while :; do
    sleep 3600
done
