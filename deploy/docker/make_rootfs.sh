#!/bin/sh
# Fills a directory with all that an image without a distribution needs to run the executable:
#
#   make_rootfs.sh EXECUTABLE DIR
#
# The executable is linked against the C library of glibc, so an image with nothing but the executable does not start:
# the loader and the libraries that it names come along, at the paths where the loader looks for them.
set -eu

[ $# -eq 2 ] || {
  echo "Usage: make_rootfs.sh EXECUTABLE DIR" >&2
  exit 2
}
executable=$1
root=$2

mkdir -p "$root/etc/ssl/certs" "$root/tmp"
chmod 1777 "$root/tmp"
cp "$executable" "$root/stanchion"
chmod 755 "$root/stanchion"
# The program looks at the name it is started under.
ln -sf stanchion "$root/nats-streaming-server"
ln -sf stanchion "$root/nats-server"

# "name => /path (address)" for a library, "/path (address)" for the loader.
libraries=$(ldd "$executable" | sed -n 's/.*[[:space:]]\(\/[^ ]*\) (0x[0-9a-f]*)$/\1/p')
[ -n "$libraries" ] || {
  echo "make_rootfs.sh: ldd names no library of $executable" >&2
  exit 1
}
for library in $libraries; do
  mkdir -p "$root$(dirname "$library")"
  cp -L "$library" "$root$library"
done

# Without users of its own the image could not be run as "nobody".
printf 'root:x:0:0:root:/:/sbin/nologin\nnobody:x:65534:65534:nobody:/:/sbin/nologin\n' >"$root/etc/passwd"
printf 'root:x:0:\nnogroup:x:65534:\n' >"$root/etc/group"
if [ -f /etc/ssl/certs/ca-certificates.crt ]; then
  cp -L /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/"
fi
