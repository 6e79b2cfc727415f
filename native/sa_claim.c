#include "sa_claim.h"

#include <string.h>

/* The longest span of a rate limit: one day. */
static const uint64_t span_max_ns = 86400000000000ull;

static int
claim_ok(const struct sa_claim *claim)
{
    if (claim->kind == SA_CLAIM_UNIQUE)
        return !claim->tokens && !claim->flags && claim->span_ns <= INT64_MAX;
    if (claim->kind != SA_CLAIM_GROUP && claim->kind != SA_CLAIM_RATE)
        return 0;
    return claim->tokens >= 1 && claim->tokens <= SA_TOKENS_MAX &&
           claim->flags <= SA_CLAIM_CLOSED && claim->span_ns >= 1 &&
           claim->span_ns <= span_max_ns;
}

int
sa_claims_ok(const uint8_t *at, uint32_t len)
{
    struct sa_claim claim;
    uint32_t kind = 0;
    if (len % sizeof claim || len > SA_CLAIMS_MAX * sizeof claim)
        return 0;
    for (uint32_t done = 0; done < len; done += (uint32_t)sizeof claim) {
        memcpy(&claim, at + done, sizeof claim);
        if (claim.kind <= kind || !claim_ok(&claim))
            return 0;
        kind = claim.kind;
    }
    return 1;
}

int
sa_claim_find(const struct sa_task *task, uint32_t kind, struct sa_claim *out)
{
    const uint8_t *at = (const uint8_t *)task + SA_TASK_HEAD + task->queue_len +
                        task->name_len + task->option_len;
    for (uint32_t done = 0; done < task->claim_len; done += (uint32_t)sizeof *out) {
        memcpy(out, at + done, sizeof *out);
        if (out->kind == kind)
            return 1;
    }
    return 0;
}
