/* sa_prescan over any bytes, with its bounds in force. */
#include <stdlib.h>
#include <string.h>

#include "sa_prescan.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint32_t nodes;
    uint8_t *exact = malloc(size ? size : 1);
    memcpy(exact, data, size);
    int rc = sa_prescan(exact, size, 1000, 32, &nodes);
    if (rc == SA_OK && (nodes == 0 || nodes > 1000 || nodes > size))
        abort();
    free(exact);
    return 0;
}
