/* Names are text: S's Python and every tool read them as UTF-8. */
#include "sa_text.h"

/* Bytes behind a first byte of `lead`; 4: it begins no character. */
static uint32_t
behind(uint8_t lead)
{
    if (lead < 0x80)
        return 0;
    if (lead >= 0xc2 && lead <= 0xdf) /* c0, c1: overlong */
        return 1;
    if (lead >= 0xe0 && lead <= 0xef)
        return 2;
    return lead >= 0xf0 && lead <= 0xf4 ? 3 : 4;
}

/* What the first byte leaves of the range of the second.
 * Source: RFC 3629, section 4 (the syntax of UTF-8). */
static int
second_ok(uint8_t lead, uint8_t next)
{
    if (lead == 0xe0)
        return next >= 0xa0; /* below: overlong */
    if (lead == 0xed)
        return next <= 0x9f; /* above: a surrogate */
    if (lead == 0xf0)
        return next >= 0x90; /* below: overlong */
    return lead != 0xf4 || next <= 0x8f; /* above: beyond U+10FFFF */
}

int
sa_text_ok(const uint8_t *text, uint32_t len)
{
    for (uint32_t i = 0; i < len;) {
        uint32_t more = behind(text[i]);
        if (text[i] < ' ' || text[i] == 0x7f || more >= len - i || more == 4)
            return 0;
        for (uint32_t j = 1; j <= more; j++)
            if ((text[i + j] & 0xc0) != 0x80)
                return 0;
        if (more && !second_ok(text[i], text[i + 1]))
            return 0;
        i += 1 + more;
    }
    return 1;
}
