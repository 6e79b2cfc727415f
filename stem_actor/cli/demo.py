"""``stem-actor demo``: a survey of Python sources, on a ring of its own."""

from __future__ import annotations

import sysconfig
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Final

import click
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
)

from stem_actor import StemApp
from stem_actor.cli import FAILURE
from stem_actor.cli.output import Output, printable
from stem_actor.cli.survey import gather, survey_file, survey_file_under_fire
from stem_actor.cli.survey_report import SurveyReport, show_report
from stem_actor.cli.survey_run import SourceFile, SurveyRun, find_sources

__all__ = ["command"]

_SEED: Final = 20_020


@click.command("demo")
@click.argument(
    "folder",
    metavar="[DIR]",
    required=False,
    type=click.Path(exists=True, file_okay=False, readable=True, path_type=Path),
)
@click.option("--chaos", is_flag=True, help="Run twice; kill processes in the second.")
@click.option("--workers", type=click.IntRange(1, 512), help="Default: the cores.")
@click.option("--files", type=click.IntRange(1), help="Take the N biggest files only.")
@click.option("--json", "as_json", is_flag=True, help="Write the report as JSON.")
def command(
    folder: Path | None,
    chaos: bool,
    workers: int | None,
    files: int | None,
    as_json: bool,
) -> int:
    """
    Survey the Python sources below DIR (default: this Python's standard library).

    One task a file: read, parse, count. With --chaos the survey runs once in peace and
    once while its workers, and once its supervisor, are killed; both reports have to be
    the same.
    """
    root = folder or Path(sysconfig.get_path("stdlib"))
    output = Output(as_json=as_json)
    sources = find_sources(root)[:files]
    if not sources:
        raise click.UsageError(f"there is no Python source below {root}")
    if not as_json:
        output.line(f"Surveying {len(sources):,} files below {root}", style="bold")
        output.flush()  # also into a pipe: what follows takes a while
    peace = _survey(sources, workers, output, chaos=False)
    if not chaos:
        if as_json:
            output.json(peace.to_json())
        else:
            show_report(peace, output)
        return 0 if peace.is_complete else FAILURE
    war = _survey(sources, workers, output, chaos=True)
    return _compare(peace, war, output)


def _survey(
    sources: Sequence[SourceFile], workers: int | None, output: Output, *, chaos: bool
) -> SurveyReport:
    jobs = (survey_file, survey_file_under_fire, gather)
    app = StemApp(jobs, workers=workers)
    what = "Under fire" if chaos else "Survey"
    with app, _progress(what, len(sources), output) as on_end:
        return SurveyRun(
            app, sources, on_end=on_end, chaos=chaos, rng=Random(_SEED)
        ).run()


@contextmanager
def _progress(what: str, total: int, output: Output) -> Iterator[Callable[[str], None]]:
    """Show how many files have ended, if somebody watches."""
    if not output.is_terminal:
        yield lambda _name: None
        return
    columns = ("{task.description}", BarColumn(), MofNCompleteColumn())
    last = TextColumn("{task.fields[file]}", markup=False)  # a name is no markup
    with Progress(*columns, TimeElapsedColumn(), last, console=output.console) as bar:
        job = bar.add_task(what, total=total, file="")
        yield lambda name: bar.update(job, advance=1, file=printable(name[-40:]))


def _compare(peace: SurveyReport, war: SurveyReport, output: Output) -> int:
    is_same = peace.fingerprint == war.fingerprint
    if output.as_json:
        output.json({"same": is_same, "peace": peace.to_json(), "chaos": war.to_json()})
    else:
        show_report(war, output)
        output.line()
        verdict = "the same report" if is_same else "ANOTHER REPORT"
        output.line(
            f"In peace {peace.fingerprint}, under fire {war.fingerprint}: {verdict}",
            style="green" if is_same else "red",
        )
    return 0 if is_same and peace.is_complete and war.is_complete else FAILURE
