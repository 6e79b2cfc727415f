"""
The parts of the core that no other process sees, compiled for the tests alone.

The product's extension shows what the product calls; rings, extents, heap, index and
the words are reached through a second one, built from the same sources on first use.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import re
import sys
from pathlib import Path
from typing import Any

import cffi

ROOT = Path(__file__).parents[2]
# A test of a variant, or of a mutant, names the sources it is about.
NATIVE = Path(os.environ.get("STEM_ACTOR_NATIVE", ROOT / "native"))
BUILT = ROOT / "build" / "internals"
SECTION = re.compile(r"/\* cdef begin \*/\n(.*?)/\* cdef end \*/", re.DOTALL)
PARTS = ("spsc", "crc", "extent", "heap", "index", "prescan", "layout", "list")

DECLARATIONS = """
struct sa_spsc { uint64_t cap, local, other; ...; };
struct sa_view { struct sa_record head; const uint8_t *payload; uint64_t end; };
void sa_spsc_writer(struct sa_spsc *, uint8_t *, uint64_t, uint64_t *,
                    const uint64_t *);
void sa_spsc_reader(struct sa_spsc *, uint8_t *, uint64_t, const uint64_t *,
                    uint64_t *);
uint64_t sa_spsc_payload_max(const struct sa_spsc *);
int sa_spsc_reserve(struct sa_spsc *, uint32_t, uint8_t **);
void sa_spsc_seal(struct sa_spsc *, const struct sa_record *);
void sa_spsc_publish(struct sa_spsc *);
int sa_spsc_peek(struct sa_spsc *, struct sa_view *);
void sa_spsc_next(struct sa_spsc *, const struct sa_view *);
void sa_spsc_release(struct sa_spsc *);

struct sa_extents { uint32_t nslabs, free_slabs; uint64_t used_bytes; ...; };
int sa_extents_open(struct sa_extents *, uint64_t);
void sa_extents_close(struct sa_extents *);
uint32_t sa_extent_take(struct sa_extents *, uint32_t);
void sa_extent_give(struct sa_extents *, uint32_t, uint32_t);
int sa_extent_mark(struct sa_extents *, uint32_t, uint32_t);
void sa_extents_seal(struct sa_extents *);
uint32_t sa_extent_class_size(uint32_t);

struct sa_heap { uint32_t *slots; int64_t *keys; uint32_t *where; uint32_t count; };
int sa_heap_open(struct sa_heap *, uint32_t);
void sa_heap_close(struct sa_heap *);
void sa_heap_put(struct sa_heap *, uint32_t, int64_t);
void sa_heap_drop(struct sa_heap *, uint32_t);

struct sa_index { uint32_t mask; ...; };
int sa_index_open(struct sa_index *, const struct sa_slot *, uint32_t);
void sa_index_close(struct sa_index *);
uint32_t sa_index_find(const struct sa_index *, const uint8_t *);
void sa_index_add(struct sa_index *, uint32_t);
void sa_index_remove(struct sa_index *, uint32_t);

struct sa_links { uint32_t *next, *prev; };
struct sa_list { uint32_t first, last, count; };
static void list_append(struct sa_links *, struct sa_list *, uint32_t);
static void list_clear(struct sa_list *);
static void list_sort(struct sa_links *, struct sa_list *, const int64_t *keys);

static uint64_t slot_word(uint32_t, uint32_t, uint32_t, uint32_t, uint32_t);
static uint32_t slot_word_part(uint64_t, int);
static uint64_t cell_word(uint32_t, uint32_t, uint32_t, uint32_t);
static uint64_t cell_as(uint64_t, uint32_t);
static uint32_t cell_state(uint64_t);
static uint32_t cell_slot(uint64_t);
static uint64_t ring_offset(int line);
"""

SHIMS = """
#include "sa_cell.h"
#include "sa_layout.h"
#include "sa_list.h"
#include "sa_spsc.h"
#include "sa_extent.h"
#include "sa_heap.h"
#include "sa_index.h"

static void list_append(struct sa_links *links, struct sa_list *list, uint32_t slot)
{ sa_list_append(links, list, slot); }
static void list_clear(struct sa_list *list) { sa_list_clear(list); }
static int less(const void *keys, uint32_t a, uint32_t b)
{ return ((const int64_t *)keys)[a] < ((const int64_t *)keys)[b]; }
static void list_sort(struct sa_links *links, struct sa_list *list, const int64_t *keys)
{ sa_list_sort(links, list, less, keys); }

static uint64_t slot_word(uint32_t state, uint32_t var, uint32_t owner,
                          uint32_t starts, uint32_t gen)
{ return SA_WORD(state, var, owner, starts, gen); }
static uint32_t slot_word_part(uint64_t word, int part)
{
    switch (part) {
    case 0: return SA_WORD_STATE(word);
    case 1: return SA_WORD_VAR(word);
    case 2: return SA_WORD_OWNER(word);
    case 3: return SA_WORD_STARTS(word);
    default: return SA_WORD_GEN(word);
    }
}
static uint64_t cell_word(uint32_t state, uint32_t starts, uint32_t gen, uint32_t slot)
{ return sa_cell_word(state, starts, gen, slot); }
static uint64_t cell_as(uint64_t word, uint32_t state)
{ return sa_cell_as(word, state); }
static uint32_t cell_state(uint64_t word) { return sa_cell_state(word); }
static uint32_t cell_slot(uint64_t word) { return sa_cell_slot(word); }
static uint64_t ring_offset(int line)
{
    static const size_t at[] = {
        offsetof(struct sa_ring_words, head),
        offsetof(struct sa_ring_words, submit_tail),
        offsetof(struct sa_ring_words, submit_head),
        offsetof(struct sa_ring_words, report_tail),
        offsetof(struct sa_ring_words, report_head),
        offsetof(struct sa_ring_words, sleep),
        offsetof(struct sa_ring_words, space),
        offsetof(struct sa_ring_words, blocked),
        offsetof(struct sa_ring_words, order_tail),
        offsetof(struct sa_ring_words, order_head),
        offsetof(struct sa_ring_words, status),
        offsetof(struct sa_ring_words, control),
    };
    const int lines = sizeof at / sizeof *at;
    return line < lines ? at[line] : sizeof(struct sa_ring_words);
}
"""


def load() -> Any:
    """Return the module with ``ffi`` and ``lib``, built unless it is there already."""
    sources = [NATIVE / f"sa_{part}.c" for part in PARTS]
    digest = hashlib.sha256(f"{sys.version}{os.environ.get('CFLAGS')}".encode())
    for file in sorted({*NATIVE.glob("sa_*.[ch]"), Path(__file__)}):
        digest.update(file.read_bytes())
    name = f"sa_internals_{digest.hexdigest()[:16]}"
    found = list(BUILT.glob(f"{name}.*so")) or [_build(name, sources)]
    spec = importlib.util.spec_from_file_location(name, found[0])
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _build(name: str, sources: list[Path]) -> Path:
    headers = ("sa_abi.h", "sa_crc.h", "sa_layout.h", "sa_prescan.h")
    public = "".join(
        "".join(SECTION.findall((NATIVE / h).read_text())) for h in headers
    )
    builder = cffi.FFI()
    builder.cdef(public + DECLARATIONS)
    includes = "".join(f'#include "{header}"\n' for header in headers)
    builder.set_source(
        name,
        includes + SHIMS,
        sources=[str(source) for source in sources],
        include_dirs=[str(NATIVE)],
        extra_compile_args=["-std=gnu11", "-O1", "-UNDEBUG"],
    )
    # Built aside and renamed: two runs at once both end with a whole file.
    aside = BUILT / f"{name}.{os.getpid()}"
    aside.mkdir(parents=True)
    built = Path(builder.compile(tmpdir=str(aside)))
    target = BUILT / built.name
    built.replace(target)
    return target


_module = load()
ffi: Any = _module.ffi
lib: Any = _module.lib
