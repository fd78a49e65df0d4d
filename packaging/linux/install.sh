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

  sh hearth.run [--prefix FOLDER] [--no-start] [--check]

  --prefix FOLDER  install below FOLDER instead of ~/.local
  --no-start       do not open the window afterwards
  --check          only see that the file is whole

Uninstall with:  hearth-uninstall   (models, chats and settings stay)
TEXT
}

while [ $# -gt 0 ]; do
    case "$1" in
        --prefix) PREFIX=$(mkdir -p "$2" && cd "$2" && pwd); DATA="$PREFIX/share"; shift ;;
        --no-start) START=no ;;
        --check) START=check ;;
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

new="$PREFIX/lib/hearth.new.$$"
mkdir -p "$PREFIX/lib" "$PREFIX/bin"
trap 'rm -rf "$new"' EXIT
mkdir "$new"
tail -n "+$LINES" "$0" | xz -dc | tar -xf - -C "$new" || fail "could not unpack to $new (is the disk full?)."

# The former version is kept beside the new one until the next update.
if [ -d "$PREFIX/lib/hearth" ]; then
    rm -rf "$PREFIX/lib/hearth.previous"
    mv "$PREFIX/lib/hearth" "$PREFIX/lib/hearth.previous"
fi
mv "$new/usr/lib/hearth" "$PREFIX/lib/hearth"
ln -sfn "$PREFIX/lib/hearth/hearth" "$PREFIX/bin/hearth"
list="$PREFIX/lib/hearth/installed-files"
: > "$list"
(cd "$new/usr/share" && find . -type f) | while read -r file; do
    mkdir -p "$DATA/$(dirname "$file")"
    cp "$new/usr/share/$file" "$DATA/$file"
    echo "$DATA/${file#./}" >> "$list"
done
sed -i "s|^Exec=hearth|Exec=\"$PREFIX/bin/hearth\"|; s|^TryExec=.*|TryExec=$PREFIX/bin/hearth|" "$DATA/applications/hearth.desktop"

cat > "$PREFIX/bin/hearth-uninstall" <<TEXT
#!/bin/sh
# Removes what hearth.run installed. Models, chats and settings stay where they are.
while read -r file; do rm -f "\$file"; done < "$list"
rm -rf "$PREFIX/lib/hearth" "$PREFIX/lib/hearth.previous"
rm -f "$PREFIX/bin/hearth" "$PREFIX/bin/hearth-uninstall"
for tool in "update-mime-database $DATA/mime" "update-desktop-database -q $DATA/applications"; do
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
