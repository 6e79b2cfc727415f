"""
Build a variant of the C core beside the product's, in a package of its own.

``python -m tests.native.variant asan build/asan`` leaves a ``stem_actor`` there that
holds the extension and nothing else; put the folder first on the path.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
NEEDED = ("setup.py", "pyproject.toml", "README.md", "LICENSE")


def lay(target: Path) -> Path:
    """Copy the C sources below *target*, in a tree that can be built; return it."""
    shutil.rmtree(target, ignore_errors=True)
    (target / "stem_actor").mkdir(parents=True)
    (target / "stem_actor" / "__init__.py").touch()
    (target / "stem_actor" / "py.typed").touch()
    for name in NEEDED:
        shutil.copy(ROOT / name, target)
    shutil.copytree(ROOT / "native", target / "native")
    return target


def build(tree: Path, variant: str = "") -> None:
    """
    Build the extension of *tree* in place.

    Raises:
        subprocess.CalledProcessError: If the compiler refuses.
    """
    subprocess.run(
        [sys.executable, "setup.py", "--quiet", "build_ext", "--inplace"],
        cwd=tree,
        env={**os.environ, "STEM_ACTOR_BUILD": variant},
        check=True,
        capture_output=True,
        text=True,
    )


def environment(tree: Path) -> dict[str, str]:
    """Return an environment in which *tree* holds the core, and is the one tested."""
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(map(str, (tree, ROOT))),
        "STEM_ACTOR_NATIVE": str(tree / "native"),
        "PYTHONDONTWRITEBYTECODE": "1",
    }


if __name__ == "__main__":
    build(lay(Path(sys.argv[2])), sys.argv[1])
