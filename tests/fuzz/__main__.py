"""
Fuzz the parsers of the core.

``python -m tests.fuzz [--seconds N] [--seed N] [TARGET …]``

With clang the targets run under libFuzzer and keep what they learn in ``build/fuzz``;
without it, under gcc and a seeded mutation loop. ASan and UBSan judge in both cases.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from .seeds import SEEDS

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
NATIVE = Path(os.environ.get("STEM_ACTOR_NATIVE", ROOT / "native"))
BUILT = ROOT / "build" / "fuzz"
# Recovery from undefined behaviour would hide it.
SANITIZE = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all")


@dataclass(frozen=True, slots=True)
class Target:
    """One fuzz target, built."""

    name: str
    program: Path
    with_libfuzzer: bool

    def command(self, seconds: int, seed: int) -> list[str]:
        """Return the command that fuzzes for *seconds*."""
        corpus = seed_files(self.name)
        crash = BUILT / f"{self.name}.crash"
        if self.with_libfuzzer:
            limits = (f"-max_total_time={seconds}", f"-seed={seed}", "-max_len=8192")
            artifact = f"-artifact_prefix={BUILT}/{self.name}."
            return [str(self.program), *limits, artifact, str(corpus[0].parent)]
        words = (self.program, seconds, seed, crash, *corpus)
        return [str(word) for word in words]


def seed_files(name: str) -> list[Path]:
    """Write the seeds of a target, and return their files."""
    folder = BUILT / "corpus" / name
    folder.mkdir(parents=True, exist_ok=True)
    for number, data in enumerate(SEEDS[name]):
        (folder / f"seed-{number}").write_bytes(data)
    return sorted(folder.iterdir())[:60]


def build(name: str) -> Target:
    """
    Compile a target.

    Raises:
        subprocess.CalledProcessError: If the compiler refuses.
    """
    clang = shutil.which("clang")
    compiler = clang or os.environ.get("CC") or "gcc"
    sources = [HERE / f"{name}.c", *sorted(NATIVE.glob("sa_*.c"))]
    engine = ["-fsanitize=fuzzer"] if clang else [str(HERE / "driver.c")]
    program = BUILT / name
    program.parent.mkdir(parents=True, exist_ok=True)
    subprocess.run(
        [
            *(compiler, "-std=gnu11", "-O1", "-g", *SANITIZE, f"-I{NATIVE}"),
            *(*map(str, sources), *engine, "-o", str(program), "-pthread"),
        ],
        check=True,
    )
    return Target(name, program, with_libfuzzer=clang is not None)


def main() -> int:
    """Fuzz every target for its share of the time."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--seconds", type=int, default=60, help="in all")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("target", nargs="*", help=f"of {', '.join(SEEDS)}; all if none")
    options = parser.parse_args()
    names = options.target or list(SEEDS)
    if unknown := set(names) - SEEDS.keys():
        parser.error(f"no such target: {', '.join(sorted(unknown))}")
    share = max(1, options.seconds // len(names))
    failed = []
    for name in names:
        target = build(name)
        print(f"{name}: {share} s, seed {options.seed}", flush=True)
        if subprocess.run(target.command(share, options.seed), check=False).returncode:
            failed.append(name)
            print(f"{name}: FAILED, the input is {BUILT}/{name}.crash", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
