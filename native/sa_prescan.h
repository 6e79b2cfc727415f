#ifndef SA_PRESCAN_H
#define SA_PRESCAN_H

#include "sa_abi.h"

/* cdef begin */
/* Walk one MessagePack value of exactly `len` bytes without building anything.
 * SA_OK, SA_CORRUPT (malformed, trailing bytes, an extension type), or
 * SA_TOO_LARGE (more than `nodes_max` values, or deeper than `depth_max`,
 * which may be at most 256).  A 1 MiB body of empty lists is a million objects:
 * a byte limit alone does not bound what decoding costs. */
int sa_prescan(const uint8_t *at, uint64_t len, uint32_t nodes_max,
               uint32_t depth_max, uint32_t *nodes);
/* cdef end */

#endif
