"""``recon-client drift``: estimate the drift of a table of molecules, and take it out."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from smlm_pipeline.atomic_files import check_new
from smlm_pipeline.cli.exit_codes import door
from smlm_pipeline.cli.json_output import print_json
from smlm_pipeline.cli.options import AsJson, Quiet
from smlm_pipeline.cli.printable import printable
from smlm_pipeline.cli.progress import TerminalEvents
from smlm_pipeline.drift.curve import Drift, no_drift
from smlm_pipeline.drift.estimate import MOLECULES_LEAST, Estimate
from smlm_pipeline.drift.files import check_covers, read_drift, write_drift
from smlm_pipeline.errors import SettingError
from smlm_pipeline.film.formats.pixel_size import check_given
from smlm_pipeline.output.drift_plot import write_drift_plot
from smlm_pipeline.run.identity import SOFTWARE
from smlm_pipeline.tables.at_rest import at_rest, drift_of_rows
from smlm_pipeline.tables.conversion import Conversion, Converted, converted
from smlm_pipeline.tables.formats import check_target, format_of, write_table

_PROGRAM = "recon-client"


def drift(
    table: Annotated[
        Path,
        typer.Argument(
            metavar="TABLE",
            help="Table of molecules: .csv (ThunderSTORM or SMLM challenge), .hdf5 (Picasso), .h5 "
            "(DECODE) or .parquet.",
        ),
    ],
    output: Annotated[
        Path,
        typer.Option(
            "-o",
            "--output",
            help="Table without drift to write, in the format of its ending. The drift is written "
            "beside it: for NAME.csv as NAME.drift.csv and NAME.drift.png.",
            show_default=False,
        ),
    ],
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace earlier files of these names.")
    ] = False,
    drift_file: Annotated[
        Path | None,
        typer.Option(
            "--drift",
            metavar="FILE",
            help="Take out the drift of this CSV file, in nm for each frame, instead of an "
            "estimate.",
            show_default=False,
        ),
    ] = None,
    pixel_size_nm: Annotated[
        float | None,
        typer.Option(
            help="Camera pixel in the sample plane; by default the table's.", show_default=False
        ),
    ] = None,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Take the drift of the sample out of a table of molecules.

    Reads a TABLE of this program or of another one, estimates the drift from its molecules, and
    writes a table of corrected places. docs/drift.md states the method and its errors.
    """
    with door(as_json=as_json):
        if pixel_size_nm is not None:
            check_given(pixel_size_nm)
        target = Target(table, output, drift_file)
        target.check(replaced=overwrite)
        known = None if drift_file is None else read_drift(drift_file)
        conversion = Conversion((table,), pixel_size_nm)
        with (
            TerminalEvents(_PROGRAM, quiet=quiet or as_json, unit="rows") as events,
            converted(conversion, output.resolve().parent, events) as found,
        ):
            events.stage("correcting drift")
            facts = target.write(found, known)
            if not facts["corrected"]:
                events.warning(_NOT_CORRECTED)
        if as_json:
            print_json(facts)
        elif not quiet:
            typer.echo(printable(_text(facts), one_line=False))


_NOT_CORRECTED = (
    "two halves of the sample agree on no drift, or there are too few molecules (expected "
    f"{MOLECULES_LEAST:,}), so the places are as they were"
)


@dataclass(frozen=True)
class Target:
    """The table to read, the table to write, and the file of the user's drift, if any."""

    table: Path
    path: Path
    drift_file: Path | None

    @property
    def drift_table(self) -> Path:
        """The drift of each frame, beside the table."""
        return self._beside(".drift.csv")

    @property
    def drift_plot(self) -> Path:
        """The drift as a picture, beside the table."""
        return self._beside(".drift.png")

    def _beside(self, ending: str) -> Path:
        """The table's path with this ending in place of its own."""
        stem = self.path.name[: -len(format_of(self.path).ending)]
        return self.path.with_name(stem + ending)

    def check(self, *, replaced: bool) -> None:
        """Refuse, before the table is read, files that could not be written.

        Raises
        ------
        SettingError
            If the format is not known, a package is missing, or a file that is read is meant.
        OutputError
            If a file exists and is not to be replaced, or the folder cannot be written to.
        """
        beside = (self.drift_table, self.drift_plot)
        read = {path.resolve() for path in (self.table, self.drift_file) if path is not None}
        for file in (*format_of(self.path).files_of(self.path), *beside):
            if file.resolve() in read:
                raise SettingError(f"{file} would replace a file that is read; choose another -o")
        check_target(self.path, replaced=replaced)
        for file in beside:
            check_new(file, replaced=replaced)

    def write(self, found: Converted, known: Drift | None) -> dict[str, Any]:
        """Write all files, and return the facts for JSON."""
        frames = np.arange(found.facts.frame_count or 0)
        if known is not None and self.drift_file is not None and len(frames):
            check_covers(self.drift_file, known, 0, int(frames[-1]))
        rows = found.rows
        estimate = None if known else drift_of_rows(rows.blocks(), rows.row_count)
        drift = known or _found(estimate)
        facts = {
            "output": str(self.path),
            "molecules": rows.row_count,
            "corrected": drift is not None,
            "drift_table": str(self.drift_table),
            "drift_plot": str(self.drift_plot),
            **_ranges(drift, frames),
            **(estimate.as_dict() if estimate is not None else {}),
        }
        used = drift or no_drift()
        stated = {**found.facts.provenance, "drift": {**facts, "output": self.path.name}}
        table = replace(found.facts, provenance={"software": SOFTWARE, **stated})
        write_table(self.path, at_rest(rows.blocks(), used), table, rows.row_count)
        write_drift(self.drift_table, used, frames.tolist())
        error_nm = estimate.error_nm if estimate is not None else None
        shown = estimate.drift if estimate is not None else used
        title = "Drift" if drift is not None else "Drift, not corrected"
        write_drift_plot(self.drift_plot, shown, frames, title=title, error_nm=error_nm)
        return facts


def _found(estimate: Estimate | None) -> Drift | None:
    """The drift that is to be corrected."""
    return estimate.drift if estimate is not None and estimate.found else None


def _ranges(drift: Drift | None, frames: np.ndarray[Any, Any]) -> dict[str, float]:
    """The range of the drift along x and y, for JSON."""
    y_nm, x_nm = (drift or no_drift()).at(frames)
    ranges = {"range_x_nm": x_nm, "range_y_nm": y_nm}
    return {name: round(float(np.ptp(each)), 2) for name, each in ranges.items() if len(each)}


def _text(facts: dict[str, Any]) -> str:
    """A few lines for people."""
    done = "not corrected"
    if facts["corrected"]:
        done = (
            f"{facts['range_x_nm']:,.0f} nm in x and {facts['range_y_nm']:,.0f} nm in y corrected"
        )
    return f"{facts['output']}: {facts['molecules']:,} molecules, {done}\n{facts['drift_plot']}"
