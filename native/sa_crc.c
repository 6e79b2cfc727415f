#include "sa_crc.h"

#include <string.h>

#if defined(__x86_64__)
#include <nmmintrin.h>

/* Without -msse4.2 for the whole build: only this function needs it, and
 * sa_crc32c asks the processor before it calls. */
__attribute__((target("sse4.2"))) static uint32_t
crc_hardware(uint32_t crc, const uint8_t *at, size_t len)
{
    uint64_t wide = crc;
    for (; len >= 8; len -= 8, at += 8) {
        uint64_t chunk;
        memcpy(&chunk, at, 8);
        wide = _mm_crc32_u64(wide, chunk);
    }
    crc = (uint32_t)wide;
    for (; len > 0; len--, at++)
        crc = _mm_crc32_u8(crc, *at);
    return crc;
}
#elif defined(__aarch64__) && defined(__ARM_FEATURE_CRC32)
#include <arm_acle.h>

static uint32_t
crc_hardware(uint32_t crc, const uint8_t *at, size_t len)
{
    for (; len >= 8; len -= 8, at += 8) {
        uint64_t chunk;
        memcpy(&chunk, at, 8);
        crc = __crc32cd(crc, chunk);
    }
    for (; len > 0; len--, at++)
        crc = __crc32cb(crc, *at);
    return crc;
}
#endif

/* One nibble at a time: the table is small enough to check by eye, and this
 * path runs only where the instruction is missing. */
static const uint32_t nibble[16] = {
    0x00000000, 0x105ec76f, 0x20bd8ede, 0x30e349b1, 0x417b1dbc, 0x5125dad3,
    0x61c69362, 0x7198540d, 0x82f63b78, 0x92a8fc17, 0xa24bb5a6, 0xb21572c9,
    0xc38d26c4, 0xd3d3e1ab, 0xe330a81a, 0xf36e6f75};

static uint32_t
crc_software(uint32_t crc, const uint8_t *at, size_t len)
{
    for (; len > 0; len--, at++) {
        crc ^= *at;
        crc = (crc >> 4) ^ nibble[crc & 15];
        crc = (crc >> 4) ^ nibble[crc & 15];
    }
    return crc;
}

/* Tests compare the two paths. */
uint32_t
sa_crc32c_software(uint32_t seed, const void *bytes, size_t len)
{
    return ~crc_software(~seed, bytes, len);
}

uint32_t
sa_crc32c(uint32_t seed, const void *bytes, size_t len)
{
#if defined(__x86_64__)
    if (__builtin_cpu_supports("sse4.2"))
        return ~crc_hardware(~seed, bytes, len);
    return ~crc_software(~seed, bytes, len);
#elif defined(__aarch64__) && defined(__ARM_FEATURE_CRC32)
    return ~crc_hardware(~seed, bytes, len);
#else
    return ~crc_software(~seed, bytes, len);
#endif
}
