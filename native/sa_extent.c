#include "sa_extent.h"

#include <stdlib.h>
#include <string.h>

#include "sa_abi.h"

static const uint32_t sizes[SA_EXTENT_CLASSES] = {
    64,   128,  192,  256,  384,  512,  768,   1024,  1536,  2048,
    3072, 4096, 6144, 8192, 12288, 16384, 21824, 32768, 49152, 65536};

enum { MARKED = 0xffff };

static uint32_t
class_of(uint32_t len)
{
    uint32_t c = 0;
    while (c < SA_EXTENT_CLASSES - 1 && sizes[c] < len)
        c++;
    return c;
}

static uint32_t
units(uint32_t c)
{
    return SA_SLAB / sizes[c];
}

uint32_t
sa_extent_class_size(uint32_t len)
{
    return sizes[class_of(len)];
}

static void
unlist(struct sa_extents *x, uint32_t *list, uint32_t slab)
{
    struct sa_slab *s = &x->slabs[slab];
    if (s->prev)
        x->slabs[s->prev - 1].next = s->next;
    else
        *list = s->next;
    if (s->next)
        x->slabs[s->next - 1].prev = s->prev;
    s->prev = s->next = 0;
    s->listed = 0;
}

static void
enlist(struct sa_extents *x, uint32_t *list, uint32_t slab)
{
    struct sa_slab *s = &x->slabs[slab];
    s->prev = 0;
    s->next = *list;
    if (*list)
        x->slabs[*list - 1].prev = slab + 1;
    *list = slab + 1;
    s->listed = 1;
}

int
sa_extents_open(struct sa_extents *x, uint64_t arena_len)
{
    memset(x, 0, sizeof *x);
    x->nslabs = (uint32_t)(arena_len / SA_SLAB);
    x->slabs = calloc(x->nslabs, sizeof *x->slabs);
    x->next_free = calloc(arena_len / 64, sizeof *x->next_free);
    if (!x->slabs || !x->next_free) {
        sa_extents_close(x);
        return SA_FULL;
    }
    for (uint32_t i = x->nslabs; i > 0; i--)
        enlist(x, &x->free_list, i - 1);
    x->free_slabs = x->nslabs;
    return SA_OK;
}

void
sa_extents_close(struct sa_extents *x)
{
    free(x->slabs);
    free(x->next_free);
    memset(x, 0, sizeof *x);
}

static uint32_t
slab_with_room(struct sa_extents *x, uint32_t c)
{
    if (x->room[c])
        return x->room[c] - 1;
    if (!x->free_list)
        return SA_NONE;
    uint32_t slab = x->free_list - 1;
    unlist(x, &x->free_list, slab);
    x->free_slabs--;
    struct sa_slab *s = &x->slabs[slab];
    s->class_ = (uint8_t)c;
    s->used = s->fresh = s->free_head = 0;
    enlist(x, &x->room[c], slab);
    return slab;
}

uint32_t
sa_extent_take(struct sa_extents *x, uint32_t len)
{
    if (len == 0 || len > SA_SLAB)
        return SA_NONE;
    uint32_t c = class_of(len);
    uint32_t slab = slab_with_room(x, c);
    if (slab == SA_NONE)
        return SA_NONE;
    struct sa_slab *s = &x->slabs[slab];
    uint32_t base = slab * (SA_SLAB / 64), step = sizes[c] / 64, unit;
    if (s->free_head) {
        unit = s->free_head - 1u;
        s->free_head = x->next_free[base + unit * step];
    } else {
        unit = s->fresh++;
    }
    s->used++;
    if (s->used == units(c))
        unlist(x, &x->room[c], slab);
    x->used_bytes += sizes[c];
    return base + unit * step;
}

void
sa_extent_give(struct sa_extents *x, uint32_t at, uint32_t len)
{
    if (len == 0)
        return;
    uint32_t slab = at / (SA_SLAB / 64);
    struct sa_slab *s = &x->slabs[slab];
    uint32_t c = s->class_, step = sizes[c] / 64;
    uint32_t base = slab * (SA_SLAB / 64), unit = (at - base) / step;
    x->next_free[base + unit * step] = s->free_head;
    s->free_head = (uint16_t)(unit + 1);
    s->used--;
    x->used_bytes -= sizes[c];
    if (!s->listed)
        enlist(x, &x->room[c], slab);
    if (s->used == 0) {
        unlist(x, &x->room[c], slab);
        enlist(x, &x->free_list, slab);
        x->free_slabs++;
    }
}

int
sa_extent_mark(struct sa_extents *x, uint32_t at, uint32_t len)
{
    uint32_t slab = at / (SA_SLAB / 64);
    if (len == 0 || len > SA_SLAB || slab >= x->nslabs)
        return SA_CORRUPT;
    uint32_t c = class_of(len), step = sizes[c] / 64;
    uint32_t base = slab * (SA_SLAB / 64), unit = (at - base) / step;
    struct sa_slab *s = &x->slabs[slab];
    if ((at - base) % step || unit >= units(c))
        return SA_CORRUPT;
    if (s->used == 0) {
        unlist(x, &x->free_list, slab);
        x->free_slabs--;
        s->class_ = (uint8_t)c;
    } else if (s->class_ != c || x->next_free[at] == MARKED) {
        return SA_CORRUPT;
    }
    x->next_free[at] = MARKED;
    s->used++;
    x->used_bytes += sizes[c];
    return SA_OK;
}

void
sa_extents_seal(struct sa_extents *x)
{
    for (uint32_t slab = 0; slab < x->nslabs; slab++) {
        struct sa_slab *s = &x->slabs[slab];
        if (s->used == 0)
            continue;
        uint32_t c = s->class_, step = sizes[c] / 64, base = slab * (SA_SLAB / 64);
        s->free_head = 0;
        s->fresh = (uint16_t)units(c);
        for (uint32_t unit = units(c); unit > 0; unit--) {
            uint32_t at = base + (unit - 1) * step;
            if (x->next_free[at] == MARKED)
                continue;
            x->next_free[at] = s->free_head;
            s->free_head = (uint16_t)unit;
        }
        if (s->used < units(c))
            enlist(x, &x->room[c], slab);
    }
}
