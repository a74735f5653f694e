#!/usr/bin/env bash
# Makes sure that PostgreSQL's server programs are on this machine: `cls-backend dev` and the tests
# run a private server from them. It never starts a server and never asks for a password.
#
#   found, version 15 or later   nothing is done
#   Debian or Ubuntu, root       apt-get install, without the system's own cluster
#   Debian or Ubuntu, not root   the packages are unpacked into ~/.cache/cls-backend/postgresql
#   macOS, Fedora/RHEL, Alpine   brew, dnf or apk
#
# Unpacked programs find their share folder by themselves, because it lies beside them as in the
# package; their shared libraries need LD_LIBRARY_PATH, which dev's launcher sets.
set -euo pipefail
shopt -s nullglob

readonly oldest=15
readonly cache="${HOME:-/nonexistent}/.cache/cls-backend/postgresql"

say() { printf 'setup: %s\n' "$*" >&2; }
die() { say "$*"; exit 1; }

# candidates prints the folders that may hold the programs, as the launcher looks for them:
# CLS_POSTGRES_BIN alone when it is set.
candidates() {
	local on_path
	if [ -n "${CLS_POSTGRES_BIN:-}" ]; then
		printf '%s\n' "$CLS_POSTGRES_BIN"
		return
	fi
	on_path=$(command -v postgres || true)
	printf '%s\n' "${on_path%/*}"
	printf '%s\n' /usr/lib/postgresql/*/bin /usr/pgsql-*/bin /usr/libexec/postgresql* \
		/opt/homebrew/opt/postgresql*/bin /usr/local/opt/postgresql*/bin \
		/Applications/Postgres.app/Contents/Versions/*/bin \
		"$cache"/usr/lib/postgresql/*/bin
}

# libraries prints the LD_LIBRARY_PATH that the programs of a folder need: empty but for unpacked ones.
libraries() {
	case $1 in
	"$cache"/*) printf '%s' "$cache"/usr/lib/*-linux-gnu* ;;
	esac
}

# major prints the major version of a folder's server; it fails when the programs do not run, so a
# folder that misses a library does not count as found.
major() (
	[[ -x $1/postgres && -x $1/initdb ]] || return 1
	LD_LIBRARY_PATH="$(libraries "$1")${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"
	export LD_LIBRARY_PATH
	"$1/initdb" --version >/dev/null 2>&1 || return 1
	"$1/postgres" --version 2>/dev/null | sed -n 's/^postgres (PostgreSQL) \([0-9]*\).*/\1/p' | grep .
)

# present succeeds, and says where, when a server of a sufficient version is here.
present() {
	local dir version
	while IFS= read -r dir; do
		if ! version=$(major "$dir"); then
			continue
		elif [ "$version" -ge "$oldest" ]; then
			say "PostgreSQL $version in $dir"
			return 0
		fi
		say "PostgreSQL $version in $dir is older than $oldest: not used"
	done < <(candidates)
	return 1
}

# install_apt needs root. The drop-in stands only while the package is configured: it keeps Debian
# from creating and starting a cluster on port 5432 that nobody asked for.
install_apt() {
	local dropin=/etc/postgresql-common/createcluster.d/cls-backend.conf
	say "installing with apt-get: postgresql (no system server is created or started)"
	mkdir -p "${dropin%/*}"
	printf 'create_main_cluster = false\n' >"$dropin"
	# shellcheck disable=SC2064 # the path is meant to be expanded now
	trap "rm -f '$dropin'" EXIT
	apt-get -qq update
	DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends postgresql
}

# unpack_debs needs no rights: apt keeps its lists in a private folder, so that it works where the
# system's are empty, and runs none of the system's hooks. Only packages that are not installed are fetched, hence no library of the
# system is shadowed; LLVM and Perl are left out, and with LLVM the JIT module that needs it.
unpack_debs() (
	mkdir -p "${cache%/*}"
	work=$(mktemp -d "$cache.XXXXXX")
	trap 'rm -rf "$work"' EXIT
	mkdir -p "$work/state/lists/partial" "$work/cache/archives/partial" "$work/debs" "$work/tree/lib"
	cat >"$work/apt.conf" <<-EOF
		Dir::State "$work/state";
		Dir::State::status "/var/lib/dpkg/status";
		Dir::Cache "$work/cache";
		Debug::NoLocking "true";
		#clear APT::Update::Post-Invoke;
		#clear APT::Update::Post-Invoke-Success;
	EOF
	apt=(apt-get -qq -c "$work/apt.conf")

	say "not root: unpacking PostgreSQL's packages into $cache"
	"${apt[@]}" update
	mapfile -t packages < <("${apt[@]}" --simulate --no-install-recommends install postgresql |
		awk '$1 == "Inst" { print $2 }' |
		grep -E '^(postgresql-[0-9]+|postgresql-client-[0-9]+|lib.*)$' | grep -Ev '^lib(llvm|z3|perl|gdbm|c-l10n)|-perl$')
	[ "${#packages[@]}" -gt 0 ] || die "apt offers no postgresql package"
	say "fetching ${packages[*]}"
	(cd "$work/debs" && "${apt[@]}" download "${packages[@]}")
	for deb in "$work"/debs/*.deb; do
		dpkg-deb --extract "$deb" "$work/tree"
	done
	rm -rf "$work"/tree/usr/lib/postgresql/*/lib/{llvmjit.so,bitcode} "$work"/tree/usr/share/{doc,locale}
	cp -a "$work/tree/lib/." "$work/tree/usr/lib/" # one folder of libraries, as on an installed system
	rm -rf "$work/tree/lib"
	rm -rf "$cache"
	mv "$work/tree" "$cache" # whole or not at all
)

if present; then
	exit 0
fi
[ -z "${CLS_POSTGRES_BIN:-}" ] || die "no server of version $oldest or later runs in CLS_POSTGRES_BIN=$CLS_POSTGRES_BIN"
root=false
[ "$(id -u)" -ne 0 ] || root=true
if command -v apt-get >/dev/null && $root; then
	install_apt
elif command -v apt-get >/dev/null && [ -n "${HOME:-}" ]; then
	unpack_debs
elif command -v brew >/dev/null; then
	say "installing with brew: postgresql@16"
	brew install postgresql@16
elif command -v dnf >/dev/null && $root; then
	say "installing with dnf: postgresql-server"
	dnf install -y postgresql-server
elif command -v apk >/dev/null && $root; then
	say "installing with apk: postgresql"
	apk add postgresql
else
	die "PostgreSQL $oldest or later is missing, and this script cannot install it here. Install the" \
		"server (as root: 'dnf install postgresql-server' or 'apk add postgresql'), or name the folder" \
		"of its programs in CLS_POSTGRES_BIN."
fi
present || die "PostgreSQL was installed, but no server of version $oldest or later runs"
