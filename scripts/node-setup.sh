#!/usr/bin/env bash
# Makes sure that Node.js and npm are on this machine: the tests of what other languages make of the
# OpenAPI document run them, and so does `make lint-openapi`.
#
#   found, version 18 or later    nothing is done
#   macOS                         brew
#   Linux, root                   apt-get, dnf or apk
set -euo pipefail

readonly oldest=18

say() { printf 'setup: %s\n' "$*" >&2; }
die() { say "$*"; exit 1; }

# present succeeds, and says which, when npm and a Node.js of a sufficient version are here.
present() {
	local version
	command -v npm >/dev/null && version=$(node --version 2>/dev/null) || return 1
	version=${version#v}
	if [ "${version%%.*}" -ge "$oldest" ]; then
		say "Node.js $version in $(command -v node)"
		return 0
	fi
	say "Node.js $version in $(command -v node) is older than $oldest: not used"
	return 1
}

if present; then
	exit 0
fi
root=false
[ "$(id -u)" -ne 0 ] || root=true
if command -v apt-get >/dev/null && $root; then
	say "installing with apt-get: nodejs npm"
	apt-get -qq update
	DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends nodejs npm
elif command -v brew >/dev/null; then
	say "installing with brew: node"
	brew install node
elif command -v dnf >/dev/null && $root; then
	say "installing with dnf: nodejs npm"
	dnf install -y nodejs npm
elif command -v apk >/dev/null && $root; then
	say "installing with apk: nodejs npm"
	apk add nodejs npm
else
	die "npm and Node.js $oldest or later are missing, and this script cannot install them here. Install them" \
		"(as root: 'apt-get install nodejs npm', 'dnf install nodejs npm' or 'apk add nodejs npm')."
fi
present || die "Node.js was installed, but npm with a Node.js of version $oldest or later is not on PATH"
