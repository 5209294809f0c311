# What must work under every kernel that Coax runs on. Any command that fails fails the test (sh -e).

# This shell prefers busybox's own `ip`, which knows no namespaces.
ip() { /usr/bin/ip "$@"; }

# The ground it stands on: namespaces joined by veth, and bpffs.
ip netns add one
ip link add outer type veth peer name inner netns one
ip link set outer up
ip addr add 192.0.2.1/30 dev outer
ip -n one link set inner up
ip -n one addr add 192.0.2.2/30 dev inner
ping -c 1 -W 5 192.0.2.2 >/dev/null
mkdir /sys/fs/bpf/probe
rmdir /sys/fs/bpf/probe
ip link del outer
ip netns del one
echo "namespaces, veth and bpffs work"

# The kernel programs: load, attach, forward.
coax selftest kernel

# What the verifier counted, for the comparison outside.
if grep -qw coax.budget /proc/cmdline; then
    echo COAX-BUDGET-BEGIN
    coax selftest budget
    echo COAX-BUDGET-END
fi
