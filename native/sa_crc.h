#ifndef SA_CRC_H
#define SA_CRC_H

#include <stddef.h>
#include <stdint.h>

/* cdef begin */
/* CRC-32C (Castagnoli) of `len` bytes, continued from `seed`; 0 to begin.
 * Uses the processor's instruction where there is one. */
uint32_t sa_crc32c(uint32_t seed, const void *bytes, size_t len);
uint32_t sa_crc32c_software(uint32_t seed, const void *bytes, size_t len);
/* cdef end */

#endif
