# Sourced by quickstart.sh and test.sh: installs what is missing on a Debian machine, and nothing that is there.
# Needs root or sudo for the installing only. Sets CARGO_TARGET_DIR to a cache folder outside the clone unless it is set.

need_rust="1.95"

say() { printf '==> %s\n' "$*" >&2; }
fail() { printf 'error: %s\n' "$*" >&2; exit 1; }

as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"
  elif command -v sudo >/dev/null 2>&1; then sudo "$@"
  else fail "installing '$*' needs root: run this script as root or install sudo"
  fi
}

# apt_install PACKAGE...: installs those that are not installed yet.
apt_install() {
  local missing=() package
  for package in "$@"; do
    dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'install ok installed' || missing+=("$package")
  done
  [ ${#missing[@]} -eq 0 ] && return 0
  command -v apt-get >/dev/null 2>&1 || fail "not a Debian machine; install by hand: ${missing[*]}"
  say "installing ${missing[*]}"
  if [ -z "${apt_updated:-}" ]; then as_root apt-get -qq update >&2; apt_updated=1; fi
  as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends "${missing[@]}" >&2
}

rust_is_new_enough() {
  command -v cargo >/dev/null 2>&1 && command -v rustc >/dev/null 2>&1 || return 1
  local have
  have=$(rustc --version 2>/dev/null | awk '{print $2}')
  [ -n "$have" ] && [ "$(printf '%s\n%s\n' "$need_rust" "$have" | sort -V | head -n 1)" = "$need_rust" ]
}

# Debian's rustc is older than Flint needs; its web packages follow the browsers and are new enough.
install_rust() {
  [ -d "$HOME/.cargo/bin" ] && PATH="$HOME/.cargo/bin:$PATH"
  rust_is_new_enough && return 0
  apt_install rustc-web cargo-web
  hash -r
  rust_is_new_enough || fail "Rust $need_rust or newer is needed; found $(rustc --version 2>/dev/null || echo none)"
}

# What the build needs, and what functions run on.
install_build_tools() {
  apt_install ca-certificates curl gcc libc6-dev make
  install_rust
  export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/flint/target}"
  mkdir -p "$CARGO_TARGET_DIR"
}

install_interpreters() {
  # The program itself is looked for as well: it may come from another package than Debian's.
  [ -x /usr/bin/python3 ] || apt_install python3
  [ -x /usr/bin/node ] || apt_install nodejs
  apt_install iproute2 nftables
}

# What tests of images work with: a static program for their roots, a registry, its certificates.
install_image_tools() {
  apt_install busybox-static curl docker-registry openssl
}
