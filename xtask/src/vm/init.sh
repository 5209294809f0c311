#!/bin/busybox sh
# The guest's first process: mounts, loads modules, runs the smoke test, says how it went, powers off.
/bin/busybox --install -s /bin 2>/dev/null
export PATH=/usr/bin:/bin
mount -t devtmpfs dev /dev
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t bpf bpf /sys/fs/bpf
mount -t tmpfs run /run
mount -t tmpfs tmp /tmp
mkdir -p /run/netns /dev/net
[ -c /dev/net/tun ] || mknod /dev/net/tun c 10 200
ip link set lo up
while read -r module; do
    insmod "/modules/$module" || echo "module $module did not load"
done </modules/order
echo "kernel $(uname -r)"
if sh -e /smoke 2>&1; then
    echo COAX-VM-PASS
else
    echo "COAX-VM-FAIL $?"
    dmesg | tail -n 20
fi
poweroff -f
