/* The payload allocator: size classes inside 64 KiB slabs.
 *
 * All of its metadata is private memory of S, never shared, so no other
 * process can wreck it, and after a crash it is rebuilt from the slots
 * (sa_extent_mark).  Allocation and release are O(1).
 */
#ifndef SA_EXTENT_H
#define SA_EXTENT_H

#include <stdint.h>

#define SA_EXTENT_CLASSES 20
#define SA_SLAB 65536u

struct sa_slab {
    uint32_t prev, next;    /* list of slabs of one class with room, or free */
    uint16_t used, fresh;   /* units out; units never handed out yet */
    uint16_t free_head;     /* first returned unit + 1; 0 = none */
    uint8_t class_, listed;
};

struct sa_extents {
    struct sa_slab *slabs;
    uint16_t *next_free;    /* per 64-byte step: next returned unit + 1 */
    uint32_t nslabs, free_slabs, free_list;
    uint32_t room[SA_EXTENT_CLASSES]; /* first slab with room + 1; 0 = none */
    uint64_t used_bytes;
};

int sa_extents_open(struct sa_extents *extents, uint64_t arena_len);
void sa_extents_close(struct sa_extents *extents);

/* Offset in 64-byte steps of room for `len` bytes (1 … 65,536), or SA_NONE. */
uint32_t sa_extent_take(struct sa_extents *extents, uint32_t len);
void sa_extent_give(struct sa_extents *extents, uint32_t at, uint32_t len);

/* Rebuild: mark every live extent, then sa_extents_seal once.  SA_CORRUPT when
 * the place cannot be what the length says, or is marked already. */
int sa_extent_mark(struct sa_extents *extents, uint32_t at, uint32_t len);
void sa_extents_seal(struct sa_extents *extents);
/* Bytes held by live extents, rounded up to their classes. */
uint32_t sa_extent_class_size(uint32_t len);

#endif
