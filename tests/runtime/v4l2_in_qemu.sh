#!/bin/sh
# Tries `runtime classify --camera 0` on a real V4L2 device: the kernel's test camera (vivid), in a virtual machine
# that sees this machine's files read-only. By hand; needs Debian's qemu-system-x86, busybox-static, kmod and cpio, and
# a kernel that is fetched once:
#   apt-get download linux-image-6.1.0-47-amd64 && dpkg -x linux-image-*.deb KERNEL
#   sh tests/runtime/v4l2_in_qemu.sh KERNEL PYTHON MODEL.tflite
set -eu
kernel=$(realpath "$1") python=$2 model=$(realpath "$3")
here=$(cd "$(dirname "$0")/../.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
release=$(ls "$kernel/lib/modules")
[ -e "$kernel/lib/modules/$release/modules.dep" ] || depmod -b "$kernel" "$release"

mkdir -p "$work/root/bin" "$work/root/proc" "$work/root/host" "$work/root/mods"
cp /bin/busybox "$work/root/bin/"
: > "$work/order"
for module in virtio_pci 9pnet_virtio 9p vivid; do
    modprobe -d "$kernel" -S "$release" --show-depends "$module" | sed -n 's/^insmod \([^ ]*\).*/\1/p' >> "$work/order"
done
awk '!seen[$0]++' "$work/order" | while read -r file; do
    cp "$file" "$work/root/mods/" && basename "$file" >> "$work/root/mods/order"
done

cat > "$work/root/try.sh" <<END
export HOME=/tmp PYTHONPATH=$here PYTHONDONTWRITEBYTECODE=1
cd /tmp
watch() {
    echo "--- classify --camera 0 \$*"
    timeout -s INT 45 $python -m runtime classify --camera 0 --json --top-k 1 --model $model "\$@" 2>&1 |
        cut -c1-150 > /tmp/out
    head -n 3 /tmp/out; grep -v '^{' /tmp/out
}
id; ls -l /dev/video*
watch --size 640x360 --camera-fps 25
watch --pixel-format YUYV --size 320x180
watch --pixel-format H264 --size 5000x5000 --camera-fps 77 --backend v4l2
echo "--- unplugged, and plugged in again"
timeout -s INT 90 $python -m runtime classify --camera 0 --json --top-k 1 --model $model > /tmp/answers 2> /tmp/log &
sleep 50; wc -l < /tmp/answers
D=\$(ls -d /sys/bus/platform/devices/vivid.*); echo \$(basename \$D) > /sys/bus/platform/drivers/vivid/unbind
sleep 12; wc -l < /tmp/answers
echo \$(basename \$D) > /sys/bus/platform/drivers/vivid/bind
wait; wc -l < /tmp/answers; cat /tmp/log
echo "--- no camera 63"
$python -m runtime classify --camera 63 --model $model
END

cat > "$work/root/init" <<'END'
#!/bin/busybox sh
b=/bin/busybox
$b mount -t proc proc /proc
while read -r m; do $b insmod /mods/$m n_devs=1 2>/dev/null || $b insmod /mods/$m; done < /mods/order
$b mount -t 9p -o trans=virtio,version=9p2000.L,ro,cache=loose,msize=1048576 host /host
$b mount -t proc proc /host/proc
$b mount -t sysfs sys /host/sys
$b mount -t devtmpfs dev /host/dev
$b mount -t tmpfs tmp /host/tmp
$b cp /try.sh /host/tmp/
$b chroot /host /bin/sh /tmp/try.sh
$b poweroff -f
END
chmod +x "$work/root/init"
(cd "$work/root" && find . | cpio --quiet -o -H newc | gzip -1 > "$work/initrd")
timeout 500 qemu-system-x86_64 -accel tcg,thread=multi -cpu max -smp 2 -m 2048 -nographic -no-reboot \
    -kernel "$kernel/boot/vmlinuz-$release" -initrd "$work/initrd" \
    -append "console=ttyS0 quiet panic=-1 loglevel=3" \
    -virtfs local,path=/,mount_tag=host,security_model=none,readonly=on </dev/null
