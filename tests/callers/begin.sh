#!/bin/sh
# The first process of a machine of box.py, in namespaces of its own:
#
#     begin.sh LAYERS PLACE
#
# LAYERS are the directories below what is written, PLACE is an empty one.
set -eu
lower=$1 place=$2
mount --make-rprivate /
mount -t tmpfs tmpfs "$place"
mkdir "$place/upper" "$place/work" "$place/root"
mount -t overlay overlay "$place/root" \
    -o "lowerdir=$lower,upperdir=$place/upper,workdir=$place/work"
root=$place/root
mount -t proc proc "$root/proc"
mount -t tmpfs -o mode=0755 tmpfs "$root/run"
mount -t tmpfs -o mode=1777 tmpfs "$root/tmp"
mount -t tmpfs -o mode=0755 tmpfs "$root/dev"
mkdir "$root/dev/pts" "$root/dev/shm" "$root/run/lock"
chmod 1777 "$root/dev/shm" "$root/run/lock"
mount -t devpts -o newinstance,ptmxmode=0666,mode=0620 devpts "$root/dev/pts"
ln -s pts/ptmx "$root/dev/ptmx"
for device in null zero full random urandom tty; do
    : >"$root/dev/$device"
    mount --bind "/dev/$device" "$root/dev/$device"
done
ln -s /proc/self/fd "$root/dev/fd"
for number in 0=stdin 1=stdout 2=stderr; do
    ln -s "fd/${number%=*}" "$root/dev/${number#*=}"
done
echo box.example.org >/proc/sys/kernel/hostname
# The first process reaps what daemons leave behind.
exec chroot "$root" sh -c 'echo ready; sleep infinity & wait'
