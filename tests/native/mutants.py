"""
Put known bugs into a copy of the core, and count how many the tests find.

``python -m tests.native.mutants [NAME …]``. Each mutant is one change of a few words;
a test suite that lets one live does not test what it says. By hand and nightly: a
mutant takes about half a minute.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from .variant import ROOT, build, environment, lay

#: Below this share of mutants killed, the run fails.
KILL_RATE_MIN = 0.95
_TIMEOUT_S = 240


@dataclass(frozen=True, slots=True)
class Mutant:
    """One bug: *old* becomes *new* in *file*, exactly once."""

    name: str
    file: str
    old: str
    new: str


MUTANTS = (
    Mutant(
        "lost start: cell before slot word",
        "sa_recover.c",
        "    sa_core_hold(core, number, why, SA_HELD_LOST);\n",
        "    sa_store_release(&actor->cells[cell], 0);\n"
        '    SA_CP("mutant");\n'
        "    sa_core_hold(core, number, why, SA_HELD_LOST);\n",
    ),
    Mutant(
        "outcome: cell before slot word",
        "sa_complete.c",
        "    int rc = ending(core, worker, view);\n",
        "    if (cell != SA_NONE) {\n"
        "        sa_store_release(&actor->cells[cell], 0);\n"
        '        SA_CP("mutant");\n'
        "    }\n"
        "    int rc = ending(core, worker, view);\n",
    ),
    Mutant(
        "no CRC",
        "sa_spsc.c",
        "    return view->head.crc == crc ? SA_OK : SA_CORRUPT;\n",
        "    return view->head.crc == crc ? SA_OK : SA_OK;\n",
    ),
    Mutant(
        "no drain at a death",
        "sa_recover.c",
        "    if (sa_complete_actor(core, worker, SA_NONE) == SA_FULL)\n",
        "    if (0)\n",
    ),
    Mutant(
        "revoke by a blind store",
        "sa_offer.c",
        "    if (!sa_cas(&actor->cells[cell], word, 0)) /* V1 */\n        return 0;\n",
        "    (void)word;\n    sa_store_release(&actor->cells[cell], 0);\n",
    ),
    Mutant(
        "head before slot word",
        "sa_admit.c",
        "        rc = admit(core, &view, src, peer);\n",
        "        sa_store_release(ring->head, view.end);\n"
        '        SA_CP("mutant");\n'
        "        rc = admit(core, &view, src, peer);\n",
    ),
    Mutant(
        "no head rule",
        "sa_recover.c",
        "        if (ahead && ahead <= ring->cap",
        "        if (0 && ahead <= ring->cap",
    ),
    Mutant(
        "no fence on starts",
        "sa_complete.c",
        "           sa_slot_var(slot)->starts + 1 == head->starts;\n",
        "           1;\n",
    ),
    Mutant(
        "bodies leak",
        "sa_slots.c",
        "    slot->body_len = 0;\n    sa_extent_give(&core->extents, at, len);\n",
        "    slot->body_len = 0;\n    (void)at, (void)len, (void)core;\n",
    ),
    Mutant(
        "numbers change in place",
        "sa_core.c",
        "    uint32_t next = SA_WORD_VAR(word) ^ 1u;\n",
        "    uint32_t next = SA_WORD_VAR(word);\n",
    ),
    Mutant(
        "generations stand still",
        "sa_slots.c",
        "SA_WORD(SA_FREE, 0, 0, 0, SA_WORD_GEN(word) + 1u));",
        "SA_WORD(SA_FREE, 0, 0, 0, SA_WORD_GEN(word)));",
    ),
    Mutant(
        "an offer counts as a start",
        "sa_sound.c",
        "        return SA_LOOK_OFFERED;\n",
        "        return SA_LOOK_TAKEN;\n",
    ),
    Mutant(
        "unstarted offers go to the back",
        "sa_recover.c",
        "        sa_slot_move(&core->arena.slots[number], SA_READY, 0);\n"
        "        sa_core_enqueue(core, number, 1);\n",
        "        sa_slot_move(&core->arena.slots[number], SA_READY, 0);\n"
        "        sa_core_enqueue(core, number, 0);\n",
    ),
    Mutant(
        "finished before its outcome",
        "sa_slots.c",
        "    slot->finished_ns = core->wall;\n    slot->out_len = len;\n",
        "    struct sa_var early = *var;\n"
        "    sa_slot_commit(slot, SA_FINISHED, 0, &early);\n"
        "    slot->finished_ns = core->wall;\n    slot->out_len = len;\n",
    ),
    Mutant(
        "nothing kept for outcomes",
        "sa_core.h",
        "    return core->extents.nslabs / 16 + 1;\n",
        "    return 0 * core->extents.nslabs;\n",
    ),
    Mutant(
        "timers of offered tasks go on",
        "sa_slots.c",
        "        sa_list_remove(&core->links, &core->held, number);\n"
        "    sa_heap_drop(&core->timers, number);\n",
        "        sa_list_remove(&core->links, &core->held, number);\n",
    ),
    Mutant(
        "no cap for a slow reader",
        "sa_admit.c",
        "           (peer->outstanding >= sa_core_slots(core) / 2 ||\n",
        "           (peer->outstanding >= sa_core_slots(core) ||\n",
    ),
    Mutant(
        "delivered results are not marked",
        "sa_reply.c",
        "->marks |= SA_MARK_DELIVERED;\n",
        "->marks |= 0;\n",
    ),
    Mutant(
        "claim without a compare",
        "sa_worker.c",
        "    if (!sa_cas(&worker->cells[index], cell, ",
        "    sa_store_release(&worker->cells[index], sa_cell_as(cell, 2));\n"
        "    if (!sa_cas(&cell, cell, ",
    ),
    Mutant(
        "no look behind the flag",
        "sa_run.c",
        "    if (anything_published(core)) {\n",
        "    if (0 && anything_published(core)) {\n",
    ),
    Mutant(
        "a revoke is forgotten at the restart",
        "sa_submitted.c",
        "        if (slot != SA_NONE)\n            cancel(core, slot, at - 1);\n",
        "        (void)slot;\n",
    ),
    Mutant(
        "a revoke is forgotten at admission",
        "sa_submitted.c",
        "    if (at < revokes->count)\n        cancel(core, slot, at);\n",
        "    (void)at;\n",
    ),
    Mutant(
        "a key outlives its task",
        "sa_slots.c",
        "        sa_unique_free(core, number);\n",
        "        (void)0;\n",
    ),
    Mutant(
        "an answered duplicate is read again",
        "sa_recover.c",
        "    head = sa_unique_head(core, ring, src, head);\n",
        "",
    ),
    Mutant(
        "a duplicate is answered before it is noted",
        "sa_unique.c",
        "    sa_store_release(&log->count, log->count + 1);\n"
        "    core->arena.stats->merged++;\n",
        "    core->arena.stats->merged++;\n",
    ),
    Mutant(
        "keys are lost with the supervisor",
        "sa_recover.c",
        "        sa_unique_hold(core, number);\n",
        "        (void)0;\n",
    ),
    Mutant(
        "an offer that is not begun takes no token",
        "sa_limiter.c",
        "    uint32_t gone = count_of(row) + core->rates.lines[number].out;\n",
        "    uint32_t gone = count_of(row);\n",
    ),
    Mutant(
        "a token is timed by its offer",
        "sa_sound.c",
        "lease->slot, sa_lease_began(core, actor, c));\n",
        "lease->slot, lease->offered_ns);\n",
    ),
    Mutant(
        "a start counts twice after a crash",
        "sa_rate.c",
        "        if (row == SA_NONE || sa_limiter_knows(core, row, slot) ||\n",
        "        if (row == SA_NONE ||\n",
    ),
    Mutant(
        "a revoked offer keeps its token",
        "sa_offer.c",
        "    sa_rate_give(core, number);\n",
        "",
    ),
    Mutant(
        "the second limit keeps nothing of the first",
        "sa_rate.c",
        "        int keeps = i == 1 && goes_first(core, rows[1], slot);\n",
        "        int keeps = 0;\n",
    ),
)


def suites() -> list[list[str]]:
    """Return the commands that may kill a mutant, quickest first."""
    pytest = [
        sys.executable,
        "-P",
        "-m",
        "pytest",
        "-q",
        "-x",
        "-p",
        "no:cacheprovider",
    ]
    return [
        [*pytest, "-o", "pythonpath=", "--timeout=100", "tests/ring"],
        [sys.executable, "-P", "-m", "tests.fault.core_points", "--seconds", "60"],
        ["sh", "tests/native/run_threads.sh"],
    ]


def killed_by(mutant: Mutant, tree: Path) -> str | None:
    """Return the suite that found *mutant*, or None."""
    file = lay(tree) / "native" / mutant.file
    text = file.read_text()
    if text.count(mutant.old) != 1:
        raise SystemExit(f"mutant {mutant.name!r} does not fit {mutant.file} any more")
    file.write_text(text.replace(mutant.old, mutant.new))
    build(tree, "crashpoints")
    for command in suites():
        try:
            ended = subprocess.run(
                command,
                cwd=ROOT,
                env=environment(tree),
                capture_output=True,
                timeout=_TIMEOUT_S,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return f"{command[-1]} (hangs)"
        if ended.returncode:
            return command[-1] if "seconds" not in command[-2] else "tests.fault"
    return None


def main() -> int:
    """Try the mutants named, or all; fail below the least kill rate."""
    chosen = [m for m in MUTANTS if not sys.argv[1:] or m.name in sys.argv[1:]]
    killed = 0
    with tempfile.TemporaryDirectory() as folder:
        for mutant in chosen:
            by = killed_by(mutant, Path(folder) / "tree")
            killed += by is not None
            print(f"{mutant.name:40} {by or 'ALIVE'}", flush=True)
    print(f"{killed} of {len(chosen)} killed")
    return 0 if killed >= KILL_RATE_MIN * len(chosen) else 1


if __name__ == "__main__":
    sys.exit(main())
