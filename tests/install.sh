# shellcheck shell=bash
# Sourced by tests/run and .ci/run: installs what is missing on Debian and Ubuntu, says what to install elsewhere.

. tests/toolchain.sh
# The shell has one of its own, which the tests cannot start.
type -P kill >/dev/null || missing+=(procps)
command -v openssl >/dev/null || missing+=(openssl)
tests/postgres bin >/dev/null 2>&1 || missing+=(postgresql postgresql-contrib postgresql-client)
tests/mysql bin >/dev/null 2>&1 || missing+=(mariadb-server)
# It may be in a folder that the path of an ordinary user lacks.
[ -x /usr/sbin/pgbouncer ] || type -P pgbouncer >/dev/null || missing+=(pgbouncer)
# They read the example's rules and scrape a program; promtool comes with it.
command -v promtool >/dev/null || missing+=(prometheus)
# Python makes the environments of tests/s3 and tests/python.
python3 -c "import ensurepip, venv" 2>/dev/null || missing+=(python3 python3-venv)
if [ ${#missing[@]} -gt 0 ]; then
  if ! command -v apt-get >/dev/null; then
    echo "missing: ${missing[*]}. Install a C compiler (it builds SQLite), Rust $rust_version or newer" \
      "(https://rustup.rs), openssl, Python 3.10 or newer with venv, the PostgreSQL server with its contrib" \
      "extensions, PgBouncer, the MariaDB server 10.5 or newer with its client, and Prometheus with promtool." >&2
    exit 1
  fi
  # The tests start servers of their own: the packages shall not leave one on port 5432 or 3306. In a subshell, for its
  # trap: what prevents them must not stay, even after a failure.
  (
    no_cluster=/etc/postgresql-common/createcluster.d/landfall.conf
    no_start=/usr/sbin/policy-rc.d
    new=("$no_cluster")
    # In a container it may be there already.
    [ -e "$no_start" ] || new+=("$no_start")
    trap 'as_root rm -f "${new[@]}"' EXIT
    as_root sh -c "mkdir -p ${no_cluster%/*} && echo 'create_main_cluster = false' >$no_cluster"
    [ -e "$no_start" ] || as_root sh -c "printf '#!/bin/sh\nexit 101\n' >$no_start && chmod 755 $no_start"
    install_missing
  )
fi
check_cargo
