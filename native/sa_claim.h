/* The claims of a task record: what it needs beside a worker. */
#ifndef SA_CLAIM_H
#define SA_CLAIM_H

#include "sa_abi.h"

/* 1 when the `len` bytes are claims as struct sa_claim says. */
int sa_claims_ok(const uint8_t *at, uint32_t len);
/* Copy the task's claim of one kind: 1 when it has one.  The record was checked. */
int sa_claim_find(const struct sa_task *task, uint32_t kind, struct sa_claim *out);

#endif
