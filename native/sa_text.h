#ifndef SA_TEXT_H
#define SA_TEXT_H

#include "sa_abi.h"

/* 1 when `len` bytes are valid UTF-8 (no overlong form, no surrogate) without
 * control characters of ASCII. */
int sa_text_ok(const uint8_t *text, uint32_t len);

#endif
