#!/bin/busybox sh
# The first process of a guest: makes it a usable system, runs the tests that are named in /names, and turns it off.
/bin/busybox --install -s /bin
export PATH=/usr/bin:/usr/sbin:/bin HOME=/tmp
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
mount -t tmpfs tmp /tmp
mount -t tmpfs run /run
ip link set lo up
for module in /modules/*; do
    [ -e "$module" ] && insmod "$module"
done
export H2WATCH_TEST_PROGRAM=/h2watch
echo "kernel: $(uname -r)"
/tests --exact --test-threads=1 --show-output $(cat /names)
echo "guest: ended $?"
poweroff -f
