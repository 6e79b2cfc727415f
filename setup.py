"""
Build of the C parts of stem_actor; the metadata is in ``pyproject.toml``.

Two artefacts come out of ``native/``: the extension ``stem_actor._core`` (cffi, API
mode) and the stand-alone program ``stem_actor/_guardian``. The environment variable
``STEM_ACTOR_BUILD`` selects a variant of both: unset for the product, ``crashpoints``
for the build that can be killed at every numbered step, ``asan`` for the one under
AddressSanitizer and UndefinedBehaviorSanitizer.
"""

from __future__ import annotations

import os
import shlex
import shutil
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

NATIVE = Path("native")
GUARDIAN = Path("stem_actor", "_guardian")

WARNINGS = ("-std=gnu11", "-Wall", "-Wextra", "-Werror")
# glibc before 2.34 answers level 3 with a #warning and falls back to 2: not an error.
# Some distributions predefine the macro; without -U theirs and ours would clash.
FORTIFY = ("-Wno-error=cpp", "-U_FORTIFY_SOURCE", "-D_FORTIFY_SOURCE=3")
HARDENED = ("-O2", "-fstack-protector-strong")
SANITIZE = ("-fsanitize=address,undefined", "-fno-omit-frame-pointer")
# Python's own flags carry -DNDEBUG; the test variants want their assertions.
WITH_ASSERTIONS = "-UNDEBUG"


@dataclass(frozen=True, slots=True)
class Flags:
    """What the compiler and the linker are told, after Python's own flags."""

    compile: list[str]
    link: list[str]


def flags_of(variant: str) -> Flags:
    """
    Return the flags of a build variant.

    Args:
        variant: ``""``, ``"crashpoints"`` or ``"asan"``.

    Raises:
        SystemExit: If there is no such variant.
    """
    relro = ["-Wl,-z,relro,-z,now"]
    if variant == "":
        return Flags([*WARNINGS, *HARDENED, *FORTIFY], relro)
    if variant == "crashpoints":
        crash_points = ["-DSTEM_CP=1", WITH_ASSERTIONS]
        return Flags([*WARNINGS, *HARDENED, *FORTIFY, *crash_points], relro)
    if variant == "asan":
        # Fortified calls go round the interceptors of ASan, so the macro is dropped.
        plain = ["-U_FORTIFY_SOURCE", "-O1", "-fstack-protector-strong"]
        compile_flags = [*WARNINGS, *plain, *SANITIZE, WITH_ASSERTIONS]
        return Flags(compile_flags, [*relro, SANITIZE[0]])
    raise SystemExit(
        f"stem_actor: STEM_ACTOR_BUILD={variant!r} is not a build variant; "
        "use crashpoints, asan or leave it unset"
    )


def require_toolchain() -> None:
    """
    Stop with one line when the C compiler or Python's headers are missing.

    Raises:
        SystemExit: With the line that says what to install.
    """
    command = os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc"
    compiler = shlex.split(command)[0]
    if shutil.which(compiler) is None:
        raise SystemExit(
            f"stem_actor: no C compiler ({compiler!r} not found); "
            "install gcc or clang (Debian, Ubuntu: apt install build-essential)"
        )
    headers = Path(sysconfig.get_path("include"))
    if not (headers / "Python.h").is_file():
        raise SystemExit(
            f"stem_actor: Python.h is not in {headers}; install the headers of this "
            "Python (Debian, Ubuntu: apt install python3-dev)"
        )


class BuildNative(build_ext):
    """Build the extension with our flags, and the guardian beside it."""

    def finalize_options(self) -> None:
        """Rebuild always: neither headers nor the variant are in the timestamps."""
        super().finalize_options()
        self.force = True
        self.flags = flags_of(os.environ.get("STEM_ACTOR_BUILD", ""))

    def run(self) -> None:
        """Build everything, into the source tree when the install is editable."""
        require_toolchain()
        super().run()
        self._build_guardian(self._guardian_path())

    def build_extension(self, ext: Extension) -> None:
        """Build *ext* with the flags of the variant after its own."""
        ext.extra_compile_args = [*ext.extra_compile_args, *self.flags.compile]
        ext.extra_link_args = [*ext.extra_link_args, *self.flags.link]
        super().build_extension(ext)

    def get_outputs(self) -> list[str]:
        """Return every file built, the guardian included."""
        return [*super().get_outputs(), str(self._guardian_path())]

    def get_output_mapping(self) -> dict[str, str]:
        """Return built file → file in the source tree, for editable installs."""
        mapping = super().get_output_mapping()
        if self.inplace:
            mapping[str(Path(self.build_lib, GUARDIAN))] = str(GUARDIAN)
        return mapping

    def _guardian_path(self) -> Path:
        return GUARDIAN if self.inplace else Path(self.build_lib, GUARDIAN)

    def _build_guardian(self, target: Path) -> None:
        objects = self.compiler.compile(
            sorted(str(source) for source in NATIVE.glob("guardian*.c")),
            output_dir=self.build_temp,
            extra_postargs=self.flags.compile,
        )
        # Link beside the target and rename: a guardian that runs right now keeps its
        # own file, where writing over it would fail with "text file busy".
        fresh = target.with_name(f"{target.name}.new")
        self.compiler.link_executable(
            objects,
            fresh.name,
            output_dir=str(fresh.parent),
            extra_postargs=[*self.flags.link, "-pie"],
        )
        fresh.replace(target)


if sys.platform == "linux":
    setup(
        cffi_modules=[f"{NATIVE}/ffi_build.py:ffibuilder"],
        cmdclass={"build_ext": BuildNative},
    )
else:
    # The package installs everywhere; starting a ring says what is not supported.
    setup()
