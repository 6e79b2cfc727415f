#include "sa_news.h"

#include <string.h>

#include "sa_cell.h"
#include "sa_core_api.h"

void
sa_news_add(struct sa_core *core, uint32_t number, const struct sa_fact *fact)
{
    struct sa_news_box *box = &core->news;
    const struct sa_slot *slot = &core->arena.slots[number];
    if (!(box->wanted >> fact->type & 1))
        return;
    if (slot->body_len < SA_TASK_HEAD)
        return;
    const struct sa_task *task = sa_core_task(core, slot);
    uint32_t names = (uint32_t)task->queue_len + task->name_len;
    uint32_t len = (uint32_t)sizeof(struct sa_news) + names + fact->len;
    len = (len + 7) & ~7u;
    if (len > SA_NEWS_BYTES - box->len) {
        box->dropped++;
        return;
    }
    int is_known = fact->worker < core->options.workers_max;
    struct sa_news head = {
        .len = len,
        .type = (uint16_t)fact->type,
        .kind = (uint16_t)fact->kind,
        .at_ns = fact->at_ns ? fact->at_ns : core->wall,
        .value = fact->value,
        .attempt = fact->attempt,
        .starts = fact->starts,
        .worker = is_known ? fact->worker : SA_NONE,
        .pid = is_known ? core->arena.workers[fact->worker].pid : 0,
        .queue_len = task->queue_len,
        .name_len = task->name_len,
        .payload_len = fact->len,
    };
    memcpy(head.id, slot->id, 16);
    uint8_t *at = box->bytes + box->len;
    memcpy(at, &head, sizeof head);
    memcpy(at + sizeof head, (const uint8_t *)task + SA_TASK_HEAD, names);
    if (fact->len)
        memcpy(at + sizeof head + names, fact->payload, fact->len);
    box->len += len;
}

void
sa_news_started(struct sa_core *core, uint32_t worker, uint32_t cell)
{
    struct sa_actor *actor = &core->actors[worker];
    struct sa_lease *lease = &actor->leases[cell];
    if (!core->news.wanted || lease->told)
        return;
    lease->told = 1;
    const struct sa_var *var = sa_slot_var(&core->arena.slots[lease->slot]);
    int64_t began = sa_lease_began(core, actor, cell);
    struct sa_fact fact = {.type = SA_NEWS_STARTED, .worker = worker,
                           .attempt = var->attempt, .starts = var->starts + 1,
                           .at_ns = sa_core_plus(began, core->offset)};
    sa_news_add(core, lease->slot, &fact);
}

void
sa_news_outcome(struct sa_core *core, uint32_t number, const struct sa_fact *fact,
                uint32_t ran_as)
{
    sa_news_add(core, number, fact);
    if (!ran_as)
        return;
    struct sa_fact end = {.type = SA_NEWS_RUN_ENDED, .kind = ran_as,
                          .worker = fact->worker, .attempt = fact->attempt,
                          .starts = fact->starts};
    sa_news_add(core, number, &end);
}

void
sa_news_finished(struct sa_core *core, uint32_t number, struct sa_fact *fact,
                 uint32_t kind, int has_run)
{
    if (kind == SA_CANCELLED && !fact->len)
        fact->payload = sa_mark_words(sa_slot_var(&core->arena.slots[number])->marks,
                                      &fact->len);
    fact->type = kind == SA_SUCCEEDED ? SA_NEWS_SUCCEEDED
                 : kind == SA_FAILED  ? SA_NEWS_FAILED
                 : fact->len          ? SA_NEWS_CANCELLED
                                      : SA_NEWS_EXPIRED;
    if (kind == SA_SUCCEEDED)
        fact->len = 0; /* a result may be large; it is kept, for those who ask */
    sa_news_outcome(core, number, fact, has_run ? kind : 0);
}

void
sa_core_listen(sa_core *core, uint32_t wanted)
{
    core->news.wanted = wanted;
    uint32_t heard = wanted >> SA_NEWS_STARTED & 1;
    for (uint32_t w = 0; w < core->options.workers_max; w++)
        if (core->actors[w].words)
            sa_store32(&core->actors[w].words->control.heard, heard);
}

const uint8_t *
sa_core_news(sa_core *core, uint32_t *len, uint64_t *dropped)
{
    *len = core->news.len;
    *dropped = core->news.dropped;
    core->news.len = 0;
    return core->news.bytes;
}
