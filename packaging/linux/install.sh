#!/bin/sh
# Hearth @VERSION@ for Linux. Installs for this user alone, without root; run it with --help for the rest.
set -eu

SHA256=@SHA256@
LINES=@LINES@
DATA="${XDG_DATA_HOME:-$HOME/.local/share}"
PREFIX="$HOME/.local"
START=yes

usage() {
    cat <<'TEXT'
Installs Hearth for this user below ~/.local, with an entry in the menu.

  sh hearth.run [--prefix FOLDER] [--no-start] [--check] [--extract FOLDER]

  --prefix FOLDER   install below FOLDER instead of ~/.local
  --no-start        do not open the window afterwards
  --check           only see that the file is whole
  --extract FOLDER  only unpack it there

The version before is kept; go back to it with:  hearth update --rollback

Uninstall with:  hearth-uninstall   (models, chats and settings stay)
TEXT
}

while [ $# -gt 0 ]; do
    case "$1" in
        --prefix) PREFIX=$(mkdir -p "$2" && cd "$2" && pwd); DATA="$PREFIX/share"; shift ;;
        --no-start) START=no ;;
        --check) START=check ;;
        --extract) START=extract; TO=$(mkdir -p "$2" && cd "$2" && pwd); shift ;;
        -h|--help) usage; exit 0 ;;
        *) echo "hearth.run: unknown option $1 (try --help)" >&2; exit 2 ;;
    esac
    shift
done

fail() { echo "hearth.run: $*" >&2; exit 1; }

case "$(uname -s) $(uname -m)" in
    "Linux $(uname -m)") ;;
    *) fail "this installer is for Linux." ;;
esac
for tool in tar xz sha256sum tail; do
    command -v "$tool" >/dev/null || fail "the program $tool is missing; install it (xz is in xz-utils) and try again."
done

found=$(tail -n "+$LINES" "$0" | sha256sum | cut -d' ' -f1)
[ "$found" = "$SHA256" ] || fail "this file is damaged or not complete. Download it again."
if [ "$START" = check ]; then echo "The file is whole."; exit 0; fi

if [ "$START" = extract ]; then
    tail -n "+$LINES" "$0" | xz -dc | tar -xf - -C "$TO" || fail "could not unpack to $TO (is the disk full?)."
    exit 0
fi

lib="$PREFIX/lib"
new="$lib/.hearth.new.$$"
mkdir -p "$lib" "$PREFIX/bin"
trap 'rm -rf "$new"' EXIT
mkdir "$new"
tail -n "+$LINES" "$0" | xz -dc | tar -xf - -C "$new" || fail "could not unpack to $new (is the disk full?)."

# The menu's files first, the switch last: whatever fails before leaves the version in use as it is.
list="$new/usr/lib/hearth/installed-files"
: > "$list"
(cd "$new/usr/share" && find . -type f) | while read -r file; do
    mkdir -p "$DATA/$(dirname "$file")"
    cp "$new/usr/share/$file" "$DATA/$file"
    echo "$DATA/${file#./}" >> "$list"
done
sed -i "s|^Exec=hearth|Exec=\"$PREFIX/bin/hearth\"|; s|^TryExec=.*|TryExec=$PREFIX/bin/hearth|" "$DATA/applications/hearth.desktop"

# Versions lie side by side; a link names the one in use, so a running program keeps its own files. The same version
# again, while it is in use, goes beside under a name of its own and then takes its place.
point() { ln -s "$1" "$lib/.$2.$$" && mv -fT "$lib/.$2.$$" "$lib/$2"; }
name="hearth-@VERSION@"
used=$(readlink "$lib/hearth" || true)
if [ -d "$lib/hearth" ] && [ -z "$used" ]; then
    rm -rf "$lib/hearth-0"
    mv "$lib/hearth" "$lib/hearth-0"
    used="hearth-0"
fi
if [ -e "$lib/$name" ]; then mv "$lib/$name" "$new/replaced"; fi
mv "$new/usr/lib/hearth" "$lib/$name"
if [ -n "$used" ] && [ "$used" != "$name" ] && [ -d "$lib/$used" ]; then point "$used" hearth.previous; fi
point "$name" hearth
kept=$(readlink "$lib/hearth.previous" || true)
for old in "$lib"/hearth-[0-9]*; do
    case "${old##*/}" in "$name"|"$kept") ;; *) [ ! -d "$old" ] || rm -rf "$old" ;; esac
done
ln -sfn "$lib/hearth/hearth" "$PREFIX/bin/hearth"

cat > "$PREFIX/bin/hearth-uninstall" <<TEXT
#!/bin/sh
# Removes what hearth.run installed. Models, chats and settings stay where they are.
while read -r file; do rm -f "\$file"; done < "$lib/hearth/installed-files"
rm -rf "$lib/hearth" "$lib/hearth.previous" "$lib"/hearth-[0-9]*
rm -f "$PREFIX/bin/hearth" "$PREFIX/bin/hearth-uninstall"
for tool in "update-mime-database $DATA/mime" "update-desktop-database -q $DATA/applications" \\
    "gtk-update-icon-cache -q -f -t $DATA/icons/hicolor"; do
    command -v "\${tool%% *}" >/dev/null && \$tool 2>/dev/null
done
echo "Hearth is removed. Your models, chats and settings are still there."
TEXT
chmod 755 "$PREFIX/bin/hearth-uninstall"

for tool in "update-mime-database $DATA/mime" "update-desktop-database -q $DATA/applications" \
    "gtk-update-icon-cache -q -f -t $DATA/icons/hicolor"; do
    if command -v "${tool%% *}" >/dev/null; then $tool 2>/dev/null || true; fi
done
echo "Hearth @VERSION@ is installed. Start it from the menu, or with: $PREFIX/bin/hearth"
if [ "$START" = yes ] && [ -n "${DISPLAY:-}${WAYLAND_DISPLAY:-}" ]; then
    "$PREFIX/bin/hearth" >/dev/null 2>&1 &
fi
exit 0
