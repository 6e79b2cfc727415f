#include "sa_prescan.h"

enum { DEPTH = 256 };

static uint64_t
big_endian(const uint8_t *at, uint32_t bytes)
{
    uint64_t value = 0;
    for (uint32_t i = 0; i < bytes; i++)
        value = value << 8 | at[i];
    return value;
}

struct token {
    uint64_t skip;     /* bytes after the type byte that are no values */
    uint64_t children; /* values that follow, keys counted */
};

/* Types 0xc0 … 0xdf; the others carry everything in their first byte.
 * Source: the MessagePack specification, "Formats". */
static int
long_form(uint8_t type, const uint8_t *rest, uint64_t left, struct token *token)
{
    static const uint8_t fixed[] = {4, 8, 1, 2, 4, 8, 1, 2, 4, 8}; /* ca … d3 */
    uint32_t width;
    if (type == 0xc0 || type == 0xc2 || type == 0xc3)
        return SA_OK;
    if (type >= 0xca && type <= 0xd3) {
        token->skip = fixed[type - 0xca];
        return SA_OK;
    }
    if (type >= 0xc4 && type <= 0xc6)
        width = 1u << (type - 0xc4);
    else if (type >= 0xd9 && type <= 0xdb)
        width = 1u << (type - 0xd9);
    else if (type >= 0xdc && type <= 0xdf)
        width = type & 1 ? 4 : 2;
    else
        return SA_CORRUPT; /* extension types and the never-used byte */
    if (left < width)
        return SA_CORRUPT;
    uint64_t count = big_endian(rest, width);
    token->skip = width;
    if (type >= 0xde)
        token->children = 2 * count;
    else if (type >= 0xdc)
        token->children = count;
    else
        token->skip += count;
    return SA_OK;
}

static int
read_token(const uint8_t *at, uint64_t left, struct token *token)
{
    uint8_t type = at[0];
    *token = (struct token){0, 0};
    if (type <= 0x7f || type >= 0xe0)
        return SA_OK;
    if (type <= 0x8f)
        token->children = 2 * (uint64_t)(type & 0x0f);
    else if (type <= 0x9f)
        token->children = type & 0x0f;
    else if (type <= 0xbf)
        token->skip = type & 0x1f;
    else
        return long_form(type, at + 1, left - 1, token);
    return SA_OK;
}

int
sa_prescan(const uint8_t *at, uint64_t len, uint32_t nodes_max, uint32_t depth_max,
           uint32_t *nodes)
{
    uint64_t open[DEPTH], position = 0;
    uint32_t depth = 0;
    *nodes = 0;
    if (depth_max > DEPTH)
        return SA_INVALID;
    do {
        struct token token;
        if (position >= len)
            return SA_CORRUPT;
        if (++*nodes > nodes_max)
            return SA_TOO_LARGE;
        if (read_token(at + position, len - position, &token) != SA_OK)
            return SA_CORRUPT;
        position++;
        if (token.skip > len - position || token.children > len - position)
            return SA_CORRUPT; /* each value takes a byte at least */
        position += token.skip;
        if (token.children) {
            if (depth == depth_max)
                return SA_TOO_LARGE;
            open[depth++] = token.children + 1;
        }
        while (depth && --open[depth - 1] == 0)
            depth--;
    } while (depth);
    return position == len ? SA_OK : SA_CORRUPT;
}
