"""What goes into the frozen program and what stays out. The spec (``packaging/freeze/hearth.spec``) asks here.

Names are PyInstaller's: a module is dotted, a file has its place below the program's folder as a POSIX path.
"""

from fnmatch import fnmatch
from pathlib import PurePosixPath

from devkit.portable import AMX_VARIANTS, SPARE_VARIANTS

EXCLUDED_MODULES = (
    "PySide6.QtTest", "PySide6.QtQml", "PySide6.QtQuick", "PySide6.QtQuickWidgets", "PySide6.QtDesigner",
    "PySide6.QtSql", "PySide6.QtPrintSupport", "PySide6.QtHelp", "PySide6.QtXml", "PySide6.QtUiTools",
    "PySide6.QtConcurrent", "PySide6.QtOpenGL", "PySide6.QtOpenGLWidgets", "PySide6.scripts",
    "tkinter", "torch", "transformers", "torchao", "scipy", "matplotlib", "IPython", "pandas", "PIL", "pip",
    "setuptools", "wheel", "PyInstaller", "pytest", "mypy", "numpy.f2py", "numpy.testing", "numpy.distutils",
    "llama_cpp.server", "huggingface_hub.cli", "huggingface_hub.inference._mcp",
    "test", "lib2to3", "idlelib", "ensurepip",
    "turtledemo", "distutils",
)  # fmt: skip
"""Qt modules we don't use (QtNetwork stays: a second copy knocks through a local socket), and developers' tools."""

HOST_LIBRARIES = (
    "libstdc++.so*", "libgcc_s.so*", "libvulkan.so*", "libX11*.so*", "libxcb*.so*", "libxkbcommon*.so*",
    "libfontconfig.so*", "libfreetype.so*", "libexpat.so*", "libdbus-1.so*", "libsystemd.so*", "libwayland-*.so*",
    "libGL*.so*", "libEGL.so*", "libOpenGL.so*", "libdrm.so*", "libgbm.so*", "libglib-2.0.so*", "libgthread-2.0.so*",
    "libgobject-2.0.so*", "libgio-2.0.so*", "libgmodule-2.0.so*", "libX*.so*", "libSM.so*", "libICE.so*", "libcuda.so*",
    "libnvidia-ml.so*", "libgtk-3.so*", "libgdk*.so*", "libpango*.so*", "libcairo*.so*", "libatk*.so*",
    "libharfbuzz.so*", "libpcre2-8.so*", "libmount.so*", "libblkid.so*", "libselinux.so*", "libgcrypt.so*",
    "libgpg-error.so*", "libcap.so*", "libbsd.so*", "libmd.so*", "libpng16.so*", "libjpeg.so*", "libasound.so*",
    "libGLX*.so*", "libbrotli*.so*", "libkrb5*.so*", "libgssapi_krb5.so*", "libk5crypto.so*", "libcom_err.so*",
    "libkeyutils.so*", "liblz4.so*", "libzstd.so*", "libgraphite2.so*", "libthai.so*", "libfribidi.so*",
    "libdatrie.so*", "libepoxy.so*", "libpixman-1.so*", "libtirpc.so*", "libnsl.so*", "libelf.so*", "libuuid.so*",
)  # fmt: skip
"""The host's own. An older libstdc++ or libvulkan of ours would stop the host's GPU driver from loading."""

QT_PLUGINS = {
    "platforms": ("qxcb", "qwayland", "qoffscreen", "qminimal", "qwindows", "qcocoa"),
    "imageformats": ("qgif", "qico", "qjpeg", "qsvg", "qwebp", "qicns"),
    "iconengines": ("qsvgicon",),
    "platforminputcontexts": ("composeplatforminputcontextplugin", "ibusplatforminputcontextplugin"),
    "platformthemes": ("qxdgdesktopportal",),
    "styles": ("qmodernwindowsstyle", "qmacstyle"),
    "wayland-decoration-client": ("bradient", "adwaita"),
    "wayland-graphics-integration-client": ("qt-plugin-wayland-egl",),
    "wayland-shell-integration": ("xdg-shell",),
    "xcbglintegrations": (),
    "generic": (), "egldeviceintegrations": (), "networkinformation": (), "tls": (), "printsupport": (),
}  # fmt: skip
"""Folder of plugins -> those kept; a folder that is not named here is left out."""

DROPPED = (
    "PySide6/Qt/translations/*", "PySide6/translations/*", "PySide6/Qt/lib/libQt6Q[mu]*", "PySide6/Qt/qml/*",
    "PySide6/Qt/lib/libQt6VirtualKeyboard*", "PySide6/Qt/lib/libQt6Pdf*", "PySide6/Qt/lib/libQt6EglFS*",
    "PySide6/Qt6Q[mu]*.dll", "PySide6/opengl32sw.dll", "PySide6/Qt6Pdf.dll", "PySide6/Qt6VirtualKeyboard.dll",
    "numpy/*/tests/*", "numpy/*/*.pyi", "*/py.typed",
    "*.pyi", "llama_cpp/lib/libllama-common*",
    "yaml/_yaml.*", "*/lib-dynload/readline.*", "libreadline.so*", "libtinfo.so*", "*/lib-dynload/_codecs_*",
    "llama_cpp/include/*", "llama_cpp/lib/*.lib", "llama_cpp/lib/*.cmake", "llama_cpp/lib/cmake/*",
    "llama_cpp/lib/pkgconfig/*", "*.dist-info/RECORD", "*.dist-info/INSTALLER", "*.dist-info/direct_url.json",
    "resources/screenshots/*", "numpy/_core/lib/*.a", "numpy/random/lib/*.a",
)  # fmt: skip

METADATA = (
    "llama-cpp-python", "huggingface_hub", "hf-xet", "PySide6-Essentials", "msgspec", "starlette", "uvicorn", "keyring",
    "numpy",
)  # fmt: skip
"""Packages whose versions the program shows or whose entry points are looked up."""


def kept(place: str) -> bool:
    """Whether a collected file belongs into the program."""
    path = PurePosixPath(place.replace("\\", "/"))
    if any(fnmatch(path.name, pattern) for pattern in HOST_LIBRARIES):
        return str(path.parent).endswith(".libs")  # a wheel's private copy carries a name of its own
    if any(fnmatch(str(path), pattern) for pattern in DROPPED):
        return False
    return not _unused_variant(path.name) and _plugin_kept(path)


def _unused_variant(name: str) -> bool:
    return name.partition(".")[0].endswith(
        tuple(f"ggml-cpu-{variant}" for variant in (*AMX_VARIANTS, *SPARE_VARIANTS))
    )


def _plugin_kept(path: PurePosixPath) -> bool:
    parts = path.parts
    if "PySide6" not in parts or "plugins" not in parts:
        return True
    folder = parts[parts.index("plugins") + 1]
    return path.name.partition(".")[0].removeprefix("lib") in QT_PLUGINS.get(folder, ())
