#!/bin/sh
# Prints a folder with the headers of ONNX Runtime, which its Python wheel does not hold. Usage: onnxruntime_headers.sh FOLDER
#
# Headers that are here already are used where they lie: those of ONNXRUNTIME_INCLUDE_DIR, of FOLDER, of the system. Else, on Debian and
# Ubuntu, apt downloads the one package libonnxruntime-dev and its headers are unpacked into FOLDER. That apt is a private one: it knows
# the machine's own sources, proxies and keyrings, with the suite changed to the first that has the package, and keeps lists, cache and
# state in a folder that is removed at the end. It needs no root, installs nothing, runs no hook, and refuses what is not signed.
set -eu

HEADER=onnxruntime_cxx_api.h
PACKAGE=libonnxruntime-dev

folder=${1:?usage: onnxruntime_headers.sh FOLDER}

complain() {
    echo "no headers of ONNX Runtime: $1" >&2
    exit 1
}

# The folder that holds the header itself, in or below the given one.
folder_of_header() {
    [ -d "$1" ] || return 1
    found=$(find "$1" -maxdepth 4 -name "$HEADER" 2>/dev/null | head -n 1)
    [ -n "$found" ] && dirname "$found"
}

for place in "${ONNXRUNTIME_INCLUDE_DIR:-}" "$folder" /usr/local/include/onnxruntime /usr/include/onnxruntime /usr/local/include /usr/include; do
    if [ -n "$place" ] && folder_of_header "$place"; then
        exit 0
    fi
done

for tool in apt-get apt-config dpkg-deb; do
    command -v $tool >/dev/null 2>&1 || complain "none on this system, and without $tool they cannot be had from Debian or Ubuntu"
done
. /etc/os-release
suite=${VERSION_CODENAME:-}
[ -n "$suite" ] || complain "/etc/os-release tells no VERSION_CODENAME"
case "$ID/$suite" in
    debian/bullseye | debian/bookworm) suite=trixie ;; # Debian has the package from there on
esac

case $folder in /*) ;; *) folder=$PWD/$folder ;; esac
private=$(mktemp -d)
trap 'rm -rf "$private"' EXIT
trap 'exit 130' INT TERM
mkdir -p "$private/lists/partial" "$private/archives/partial" "$private/parts" "$private/unpacked"
: >"$private/status"

# What the machine's own configuration says of fetching (proxies, retries), and none of its hooks.
apt-config dump | grep '^Acquire::' | grep -v -e '^Acquire::IndexTargets' -e '^Acquire::Allow' >"$private/apt.conf" || true
cat >>"$private/apt.conf" <<END
Dir::Etc::main "/dev/null";
Dir::Etc::parts "$private/parts";
Dir::Etc::sourcelist "$private/sources.list";
Dir::Etc::sourceparts "$private/parts";
Dir::State "$private";
Dir::State::lists "$private/lists";
Dir::State::status "$private/status";
Dir::Cache "$private";
Dir::Cache::archives "$private/archives";
Acquire::Languages "none";
Acquire::AllowInsecureRepositories "false";
Acquire::AllowWeakRepositories "false";
Acquire::AllowDowngradeToInsecureRepositories "false";
APT::Get::AllowUnauthenticated "false";
APT::Sandbox::User "root";
END

# The keyring that the machine trusts for the system's own archive, and the distribution's other ones beside it.
keyrings=""
for keyring in /usr/share/keyrings/"$ID"-archive-keyring.gpg /usr/share/keyrings/"$ID"-archive-"$suite"-*.gpg; do
    [ -r "$keyring" ] && keyrings="${keyrings:+$keyrings,}$keyring"
done

# One address a line: sources of the system whose suite is the system's own, as apt itself reads them.
addresses=$(apt-get indextargets --format '$(REPO_URI) $(RELEASE) $(COMPONENT)' 'Identifier: Packages' 2>/dev/null |
    awk -v suite="$VERSION_CODENAME" '$2 == suite && ($3 == "main" || $3 == "universe") {print $1}' | sort -u)
[ -n "$addresses" ] || complain "apt has no source of the suite $VERSION_CODENAME"
components=main
[ "$ID" = ubuntu ] && components="main universe"

apt_private() {
    APT_CONFIG="$private/apt.conf" apt-get -q "$@" >>"$private/log" 2>&1
}

cd "$private"
for address in $addresses; do
    echo "deb ${keyrings:+[signed-by=$keyrings] }$address $suite $components" >"$private/sources.list"
    echo "headers of ONNX Runtime: asking $suite for $PACKAGE" >&2
    if apt_private update --error-on=any && apt_private download "$PACKAGE"; then
        break
    fi
done
set -- "$private/$PACKAGE"_*.deb
if [ ! -f "$1" ]; then
    sed 's/^/  apt: /' "$private/log" | tail -n 8 >&2
    complain "apt could not get $PACKAGE from $suite"
fi
dpkg-deb -x "$1" "$private/unpacked"
unpacked=$(folder_of_header "$private/unpacked/usr/include") || complain "$PACKAGE of $suite holds no $HEADER"
# First beside, then in one step to its place: whatever interrupts this leaves no half of the headers where they are looked for.
rm -rf "$folder.part"
mkdir -p "$folder" "$folder.part"
cp -R "$unpacked" "$folder.part/onnxruntime"
rm -rf "$folder/onnxruntime"
mv "$folder.part/onnxruntime" "$folder/onnxruntime"
rmdir "$folder.part"
folder_of_header "$folder"
