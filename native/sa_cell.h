/* The grant cell: the one word two parties contest.
 *
 *   EMPTY --S, D3--> OFFERED --worker, W2 (CAS)--> TAKEN --S, C4--> EMPTY
 *                       '-----S, V1 (CAS)--> EMPTY
 *
 * word = state:2 | starts:14 | gen:16 | slot:32.  `starts` and `gen` are the low
 * bits of the slot's numbers: the fence against an outcome of an older start.
 */
#ifndef SA_CELL_H
#define SA_CELL_H

#include <stdint.h>

enum { SA_CELL_EMPTY = 0, SA_CELL_OFFERED = 1, SA_CELL_TAKEN = 2 };

static inline uint64_t
sa_cell_word(uint32_t state, uint32_t starts, uint32_t gen, uint32_t slot)
{
    return (uint64_t)state << 62 | (uint64_t)(starts & 0x3fff) << 48 |
           (uint64_t)(gen & 0xffff) << 32 | slot;
}

static inline uint32_t
sa_cell_state(uint64_t word)
{
    return (uint32_t)(word >> 62);
}

static inline uint32_t
sa_cell_slot(uint64_t word)
{
    return (uint32_t)word;
}

/* The same cell word with another state. */
static inline uint64_t
sa_cell_as(uint64_t word, uint32_t state)
{
    return (word & ~((uint64_t)3 << 62)) | (uint64_t)state << 62;
}

#endif
