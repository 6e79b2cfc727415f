"""Build description of the C extension ``stem_actor._core`` (cffi, API mode).

The declarations Python sees are cut from the headers themselves, between the
marks ``cdef begin`` and ``cdef end``, so nothing is retyped.
"""

import re
from pathlib import Path

import cffi

HERE = Path(__file__).parent
#: In the order in which the declarations need each other.
HEADERS = (
    "sa_abi.h",
    "sa_platform.h",
    "sa_crash.h",
    "sa_crc.h",
    "sa_layout.h",
    "sa_arena.h",
    "sa_worker.h",
    "sa_soft.h",
    "sa_words.h",
    "sa_producer.h",
    "sa_prescan.h",
    "sa_news.h",
    "sa_core.h",
    "sa_core_api.h",
)
SECTION = re.compile(r"/\* cdef begin \*/\n(.*?)/\* cdef end \*/", re.DOTALL)

PREAMBLE = (
    "".join(f'#include "{name}"\n' for name in HEADERS)
    + """
/* In the stable ABI since 3.10; cffi's default limited API is older. */
extern int PyErr_SetInterruptEx(int signo);

static void
trip(int signo)
{
    (void)PyErr_SetInterruptEx(signo);
}

/* Give the core, which knows no Python, its way to wake Python's handlers. */
static void
sa_python_init(void)
{
    sa_soft_trip = trip;
}
"""
)


def declarations() -> str:
    """Return the cdef text: every marked section of every header, in order."""
    parts = []
    for name in HEADERS:
        sections = SECTION.findall((HERE / name).read_text())
        if not sections:
            raise ValueError(f"{name} has no cdef section")
        parts.extend(sections)
    return "".join(parts) + "static void sa_python_init(void);\n"


ffibuilder = cffi.FFI()
ffibuilder.cdef(declarations())
ffibuilder.set_source(
    "stem_actor._core",
    PREAMBLE,
    sources=sorted(f"native/{path.name}" for path in HERE.glob("sa_*.c")),
    include_dirs=["native"],
)
