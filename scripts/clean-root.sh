#!/usr/bin/env bash
# Proves the two commands of the README on a fresh Debian 12: makes a root file system with debootstrap, puts a clean clone
# of HEAD into it, runs scripts/quickstart.sh --once and (with --tests) scripts/test.sh there, and writes how that went to
# the file given by --json. Needs root, debootstrap and an hour at most; removes what it made.
set -euo pipefail
cd "$(dirname "$0")/.."

tests="" json="" keep=""
while [ $# -gt 0 ]; do
  case "$1" in
    --tests) tests=1 ;;
    --keep) keep=1 ;;
    --json) json="$2"; shift ;;
    *) echo "error: unknown argument $1" >&2; exit 2 ;;
  esac
  shift
done
[ "$(id -u)" = 0 ] || { echo "error: run as root: debootstrap and mounts need it" >&2; exit 1; }
command -v debootstrap >/dev/null || apt-get -qq install -y debootstrap

root="${FLINT_CLEAN_ROOT:-$(mktemp -d /var/tmp/flint-clean-root.XXXXXX)}"
mirror="${FLINT_DEBIAN_MIRROR:-http://deb.debian.org}"
finish() { [ -n "$keep" ] || rm -rf --one-file-system "$root"; }
trap finish EXIT

if [ ! -e "$root/etc/debian_version" ]; then
  debootstrap --variant=minbase bookworm "$root" "$mirror/debian" >/dev/null
fi
printf 'deb %s/debian bookworm main\ndeb %s/debian bookworm-updates main\ndeb %s/debian-security bookworm-security main\n' \
  "$mirror" "$mirror" "$mirror" >"$root/etc/apt/sources.list"
cp -L /etc/resolv.conf /etc/hosts "$root/etc/"
# Sites behind a proxy or with an own certificate authority: what the host trusts, the fresh machine trusts.
[ -d /etc/ssl/certs ] && mkdir -p "$root/etc/ssl" && cp -rL /etc/ssl/certs "$root/etc/ssl/" 2>/dev/null || true
for file in "$HOME/.cargo/config.toml" /etc/pip.conf; do
  [ -f "$file" ] && mkdir -p "$root/$(dirname "$file")" && cp "$file" "$root/$file"
done
cp -L /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/host-certificates.crt"
rm -rf "$root/srv/flint"
git clone -q . "$root/srv/flint"

# Everything that is mounted is mounted in a namespace of its own and goes with it. The new root is pivoted to, not chrooted:
# in a chroot the kernel makes no user namespaces for ordinary users, and some tests run as one.
inside() {
  unshare --mount --pid --fork --propagation private bash -c '
    set -e
    mount --rbind "$1" "$1"
    mount -t proc proc "$1/proc"
    mount --rbind /sys "$1/sys"
    mount --rbind /dev "$1/dev"
    mount -t tmpfs tmpfs "$1/tmp"
    cd "$1"
    pivot_root . .
    umount -l .
    exec chroot / env -i HOME=/root PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 \
      PIP_CERT=/etc/ssl/host-certificates.crt \
      bash -c "cd /srv/flint && $2"
  ' - "$root" "$1" </dev/null
}

begun=$(date +%s)
inside "scripts/quickstart.sh --once"
quickstart=$(( $(date +%s) - begun ))
echo "quickstart: ${quickstart} s"
test_seconds=null
if [ -n "$tests" ]; then
  begun=$(date +%s)
  inside "scripts/test.sh"
  test_seconds=$(( $(date +%s) - begun ))
  echo "tests: ${test_seconds} s"
fi
if [ -n "$json" ]; then
  cat >"$json" <<JSON
{
  "commit": "$(git -C "$root/srv/flint" rev-parse --short HEAD)",
  "command": "scripts/clean-root.sh${tests:+ --tests}",
  "host": { "cpus": $(nproc), "kernel": "$(uname -r)", "load": "$(cut -d' ' -f1 /proc/loadavg)" },
  "seed": 0,
  "figures": {
    "clean-root-quickstart": { "value": $quickstart, "unit": "s" }${tests:+,
    "clean-root-tests": { "value": $test_seconds, "unit": "s" \}}
  }
}
JSON
  sed -i 's/\\}/}/' "$json"
fi
