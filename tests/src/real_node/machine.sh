# The machine's first process. It sets up the machine, then waits until it is killed, which ends everything else too.
set -eu
home=$1

# Keeps everything that the node's programs write outside their own folders in here.
for folder in /run /var/lib /var/log; do
    mount -t tmpfs tmpfs "$folder"
done
mkdir /run/lock

# kubelet sets these values, which belong to the kernel and not to the namespace. It leaves a value alone that is
# already as it wants it, so a file with that value is mounted over each of them.
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
# A waiting shell reaps orphaned processes.
while :; do
    sleep 3600
done
