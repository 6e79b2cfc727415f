/*
 * Zygote, spare and births. At most one request is with the zygote, so births
 * and sweeps exclude each other here, and the guardian always knows whether a
 * process it has not heard of may be a newborn.
 */
#define _GNU_SOURCE
#include "guardian.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define SA_BIRTH_MASK (SA_BUCKETS - 1)

static void answer(struct sa_guardian *g, struct sa_birth *birth, pid_t pid, int error)
{
    const struct sa_message born = {
        .verb = SA_VERB_BORN,
        .worker = birth->worker,
        .epoch = birth->epoch,
        .incarnation = birth->incarnation,
        .pid = pid,
        .value = error,
    };
    sa_close(&birth->wake_fd);
    sa_supervisor_tell(g, &born);
}

/* Take a FORK of the supervisor; *wake_fd* becomes ours. */
void sa_birth_ask(struct sa_guardian *g, const struct sa_message *fork, int wake_fd)
{
    struct sa_birth birth = {
        .worker = fork->worker,
        .epoch = fork->epoch,
        .incarnation = fork->incarnation,
        .wake_fd = wake_fd,
    };
    if (fork->epoch > g->epoch)
        g->epoch = fork->epoch;
    if (g->zygote.pid == 0)
        answer(g, &birth, 0, ESRCH); /* no zygote left: asking again is no use */
    else if (g->birth_tail - g->birth_head + g->child_count >= SA_WORKERS_MAX)
        answer(g, &birth, 0, ENOSPC);
    else
        g->births[g->birth_tail++ & SA_BIRTH_MASK] = birth;
}

/* Drop what the zygote was not asked yet: its supervisor is dead. */
void sa_birth_forget(struct sa_guardian *g)
{
    while (g->birth_head != g->birth_tail)
        sa_close(&g->births[g->birth_head++ & SA_BIRTH_MASK].wake_fd);
}

static void ask_for_spare(struct sa_guardian *g, int64_t now)
{
    int pair[2];
    const struct sa_message spare = {.verb = SA_VERB_SPARE};

    g->spare_after = now + SA_SPARE_NS;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0) {
        sa_log("no socket for a spare zygote: %s", strerror(errno));
        return;
    }
    int sent = sa_wire_send(g->zygote.fd, &spare, pair[1]);
    close(pair[1]);
    if (sent != 0) {
        close(pair[0]);
        return;
    }
    g->spare_offer_fd = pair[0];
    g->flight = SA_FLIGHT_SPARE;
    /* Before its first answer the zygote imports user code: as long as it takes. */
    g->flight_until = g->zygote_ready ? now + SA_BIRTH_NS : 0;
}

static void relay_birth(struct sa_guardian *g, int64_t now)
{
    struct sa_birth *birth = &g->births[g->birth_head & SA_BIRTH_MASK];
    const struct sa_message fork = {
        .verb = SA_VERB_FORK,
        .worker = birth->worker,
        .epoch = birth->epoch,
        .incarnation = birth->incarnation,
    };
    if (sa_wire_send(g->zygote.fd, &fork, birth->wake_fd) != 0)
        return; /* the zygote is dying; its death answers the births */
    g->birth_head++;
    g->flying = *birth;
    g->flight = SA_FLIGHT_WORKER;
    g->flight_until = g->zygote_ready ? now + SA_BIRTH_NS : 0;
}

/* Ask the zygote for the next thing, if it may be asked now. */
void sa_birth_pump(struct sa_guardian *g)
{
    int64_t now = sa_now();
    if (g->stage != SA_STAGE_SERVING || g->flight != SA_FLIGHT_NONE || g->zygote.fd < 0)
        return;
    if (g->sweeping && now - g->sweep_turn < SA_SWEEP_TURN_NS)
        return;
    if (g->spare.pid == 0 && now >= g->spare_after)
        ask_for_spare(g, now);
    else if (g->birth_head != g->birth_tail)
        relay_birth(g, now);
}

static void end_flight(struct sa_guardian *g)
{
    g->flight = SA_FLIGHT_NONE;
    g->flight_until = 0;
    g->sweep_turn = sa_now();
}

static void take_born(struct sa_guardian *g, const struct sa_message *born)
{
    if (g->flight != SA_FLIGHT_WORKER)
        return;
    int error = born->pid > 0 ? 0 : (born->value != 0 ? born->value : EIO);
    if (error == 0) {
        /* sa_birth_ask left room for it. */
        struct sa_child *child = sa_table_add(g, born->pid, SA_KIND_WORKER);
        child->worker = g->flying.worker;
        child->epoch = g->flying.epoch;
        child->incarnation = g->flying.incarnation;
    }
    answer(g, &g->flying, error == 0 ? born->pid : 0, error);
    end_flight(g);
}

static void take_spare(struct sa_guardian *g, const struct sa_message *spare)
{
    if (g->flight != SA_FLIGHT_SPARE)
        return;
    if (spare->pid > 0 && sa_table_add(g, spare->pid, SA_KIND_SPARE) != NULL) {
        g->spare = (struct sa_line){.pid = spare->pid, .fd = g->spare_offer_fd};
        g->spare_offer_fd = -1;
    } else {
        sa_close(&g->spare_offer_fd);
    }
    end_flight(g);
}

/* Read all the zygote has said. A closed socket means it is as good as dead. */
void sa_zygote_read(struct sa_guardian *g)
{
    struct sa_message message;
    int passed_fd;
    while (g->zygote.fd >= 0) {
        int got = sa_wire_receive(g->zygote.fd, &message, &passed_fd);
        sa_close(&passed_fd);
        if (got == -EAGAIN || got == -EMFILE)
            return;
        if (got != 1) {
            sa_close(&g->zygote.fd);
            kill(g->zygote.pid, SIGKILL);
            return;
        }
        g->zygote_ready = true;
        if (message.verb == SA_VERB_BORN)
            take_born(g, &message);
        else if (message.verb == SA_VERB_SPARE)
            take_spare(g, &message);
        else if (message.verb == SA_VERB_BARRIER)
            g->barrier_open = false;
    }
}

/*
 * The zygote is dead, or killed and given up: the spare takes over. A birth in
 * flight is answered EAGAIN; what it may have made is a stranger for the sweep.
 */
void sa_zygote_lost(struct sa_guardian *g)
{
    struct sa_message news = {.verb = SA_VERB_ZYGOTE, .value = SA_ZYGOTE_DIED};
    sa_supervisor_tell(g, &news);
    sa_close(&g->zygote.fd);
    sa_close(&g->spare_offer_fd);
    g->barrier_open = false;
    if (g->flight == SA_FLIGHT_WORKER)
        answer(g, &g->flying, 0, EAGAIN);
    end_flight(g);

    struct sa_child *child = sa_table_find(g, g->spare.pid);
    if (g->spare.pid != 0 && child != NULL) {
        child->kind = SA_KIND_ZYGOTE;
        g->zygote = g->spare;
        g->spare = (struct sa_line){.pid = 0, .fd = -1};
        g->spare_after = 0;
        news.value = SA_ZYGOTE_REPLACED;
    } else {
        if (!g->zygote_ready)
            sa_status_write(g, "failed: the zygote died before it was ready\n");
        g->zygote = (struct sa_line){.pid = 0, .fd = -1};
        news.value = SA_ZYGOTE_NONE;
        while (g->birth_head != g->birth_tail)
            answer(g, &g->births[g->birth_head++ & SA_BIRTH_MASK], 0, ESRCH);
    }
    sa_supervisor_tell(g, &news);
    if (g->stage == SA_STAGE_SERVING)
        sa_sweep_want(g, 0);
}

/* The spare is dead; the pump asks for another one after a pause. */
void sa_spare_lost(struct sa_guardian *g)
{
    sa_close(&g->spare.fd);
    g->spare.pid = 0;
    g->spare_after = sa_now() + SA_SPARE_NS;
}

/* Fence births off: what was asked for ends before the zygote answers this. */
void sa_zygote_bar(struct sa_guardian *g)
{
    const struct sa_message barrier = {.verb = SA_VERB_BARRIER, .epoch = g->epoch + 1};
    /* One that still prepares was asked for no worker it could have begun. */
    if (g->zygote.fd < 0 || (!g->zygote_ready && g->flight != SA_FLIGHT_WORKER))
        return;
    g->barrier_open = sa_wire_send(g->zygote.fd, &barrier, -1) == 0;
}

/* Give a zygote up that did not answer in time. */
void sa_zygote_check(struct sa_guardian *g)
{
    int64_t now = sa_now();
    bool late = g->flight_until != 0 && now >= g->flight_until;
    if (g->stage == SA_STAGE_BARRIER && g->barrier_open && now >= g->stage_until)
        late = true;
    if (!late || g->zygote.pid == 0)
        return;
    sa_log("zygote %d did not answer and is replaced", g->zygote.pid);
    kill(g->zygote.pid, SIGKILL);
    struct sa_child *child = sa_table_find(g, g->zygote.pid);
    if (child != NULL)
        child->kind = SA_KIND_DOOMED;
    sa_zygote_lost(g);
}
