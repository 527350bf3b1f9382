#!/bin/sh
# source.sh PACKAGE DIR: download Debian's source package into a directory, also where apt knows of binary packages only.
set -eu
package=$1 dir=$2
cd "$dir"
get() { apt-get -q -o APT::Sandbox::User=root "$@" source --download-only "$package"; }
get && exit 0
# The same suites as those of the system, as sources, in lists of our own.
. /etc/os-release
mkdir -p apt/parts apt/lists/partial
cat /etc/apt/sources.list /etc/apt/sources.list.d/*.list 2>/dev/null |
	awk -v of="$VERSION_CODENAME" '$1 == "deb" { for (i = 2; i <= NF; i++) if ($i == of || $i == of "-updates" || $i == of "-security") { sub(/^deb/, "deb-src"); print; next } }' >apt/sources.list
for file in /etc/apt/sources.list.d/*.sources; do
	[ -e "$file" ] || continue
	grep -qE "^Suites:.*[[:space:]]$VERSION_CODENAME" "$file" && sed 's/^Types:.*/Types: deb-src/' "$file" >"apt/parts/${file##*/}"
done
lists="-o Dir::Etc::sourcelist=$dir/apt/sources.list -o Dir::Etc::sourceparts=$dir/apt/parts -o Dir::State::lists=$dir/apt/lists"
apt-get -q $lists -o APT::Sandbox::User=root update
get $lists
