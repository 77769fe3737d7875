# shellcheck shell=bash
# Sourced by examples/quickstart and tests/install.sh, at the top of the repository: finds what a build needs, and
# installs packages on Debian and Ubuntu. What is not there is in `missing`.

# Cargo may be installed, but not on the path of this shell.
if ! command -v cargo >/dev/null && [ -f "${CARGO_HOME:-$HOME/.cargo}/env" ]; then
  # shellcheck source=/dev/null
  . "${CARGO_HOME:-$HOME/.cargo}/env"
fi

rust_version=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)
missing=()
# A compiler without the headers of the C library cannot build SQLite.
echo '#include <stdlib.h>' | cc -x c -fsyntax-only - 2>/dev/null || missing+=(gcc libc6-dev)
command -v cargo >/dev/null || missing+=(rustup ca-certificates)

as_root() {
  if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo "$@"; fi
}

# Installs the packages in `missing`.
install_missing() {
  local package packages=()
  as_root apt-get update
  for package in "${missing[@]}"; do
    # Debian 12 and Ubuntu 22.04 have no rustup: check_cargo runs its own installer, with curl.
    if [ "$package" = rustup ] && [ -z "$(apt-cache search --names-only '^rustup$')" ]; then package=curl; fi
    packages+=("$package")
  done
  as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "${packages[@]}"
}

# Installs a toolchain where rustup has none, or where the system has no package rustup; ends the script where Cargo is
# missing all the same, or too old.
check_cargo() {
  local version
  # The package has no toolchain in it.
  if command -v rustup >/dev/null && ! cargo --version >/dev/null 2>&1; then
    rustup default stable
  fi
  if ! command -v cargo >/dev/null; then
    echo "This system has no package rustup: installing Rust by the installer of https://rustup.rs" >&2
    if ! curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh -s -- -y; then
      echo "That failed (why is above). Install Rust $rust_version or newer as https://rustup.rs says, then start this" \
        "again." >&2
      exit 1
    fi
    # shellcheck source=/dev/null
    . "${CARGO_HOME:-$HOME/.cargo}/env"
  fi
  version=$(cargo --version)
  version=${version#cargo }
  version=${version%% *}
  if [ "$(printf '%s\n' "$rust_version" "$version" | sort -V | head -n 1)" != "$rust_version" ]; then
    echo "cargo $version is too old: Rust $rust_version or newer is needed." >&2
    if command -v rustup >/dev/null; then
      echo "Update it with: rustup update stable && rustup default stable" >&2
    else
      echo "Remove it, or leave it out of PATH, and install Rust as https://rustup.rs says." >&2
    fi
    exit 1
  fi
}
