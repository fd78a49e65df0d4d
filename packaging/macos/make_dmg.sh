#!/bin/sh
# Hearth.app -> a disk image to drag it from:  make_dmg.sh Hearth.app OUT.dmg
#
# HEARTH_SIGN_IDENTITY   a "Developer ID Application: ..." in the keychain: signs with the hardened runtime
# HEARTH_NOTARY_PROFILE  a profile of `xcrun notarytool store-credentials`: notarizes and staples
# Without the first the image is for this machine and for those who allow it in Privacy & Security.
set -eu
app=$1
out=$2
here=$(cd "$(dirname "$0")" && pwd)

if [ -n "${HEARTH_SIGN_IDENTITY:-}" ]; then
    # Inside out: libraries first, then the program, then the bundle that seals them.
    find "$app/Contents" -type f \( -name '*.dylib' -o -name '*.so' \) -print0 |
        xargs -0 -n 20 codesign --force --timestamp --options runtime --sign "$HEARTH_SIGN_IDENTITY"
    codesign --force --timestamp --options runtime --entitlements "$here/entitlements.plist" \
        --sign "$HEARTH_SIGN_IDENTITY" "$app/Contents/MacOS/Hearth"
    codesign --force --timestamp --options runtime --entitlements "$here/entitlements.plist" \
        --sign "$HEARTH_SIGN_IDENTITY" "$app"
    codesign --verify --deep --strict "$app"
else
    codesign --force --deep --sign - "$app"
fi

stage=$(mktemp -d)
trap 'rm -rf "$stage"' EXIT
cp -R "$app" "$stage/Hearth.app"
ln -s /Applications "$stage/Applications"
rm -f "$out"
hdiutil create -volname Hearth -srcfolder "$stage" -format ULFO -ov "$out"

if [ -n "${HEARTH_SIGN_IDENTITY:-}" ]; then
    codesign --timestamp --sign "$HEARTH_SIGN_IDENTITY" "$out"
    if [ -n "${HEARTH_NOTARY_PROFILE:-}" ]; then
        xcrun notarytool submit "$out" --keychain-profile "$HEARTH_NOTARY_PROFILE" --wait
        xcrun stapler staple "$out"
        spctl --assess --type open --context context:primary-signature --verbose "$out"
    fi
fi
