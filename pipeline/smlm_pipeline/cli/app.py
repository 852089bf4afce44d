"""``recon-client``: the commands, put together; each is imported when it is called."""

from __future__ import annotations

from smlm_pipeline.cli.exit_codes import EXIT_CODES
from smlm_pipeline.cli.lazy_commands import LazyCommand, lazy_app

COMMANDS = (
    LazyCommand(
        "submit",
        "smlm_pipeline.cli.submit:submit",
        "Reconstruct one super-resolution image from FILM.",
    ),
    LazyCommand(
        "merge",
        "smlm_pipeline.cli.merge:merge",
        "Merge the parts of a film into its image.",
    ),
    LazyCommand(
        "batch",
        "smlm_pipeline.cli.batch:batch",
        "Reconstruct one image from each of many films, by one engine.",
    ),
    LazyCommand(
        "molecules",
        "smlm_pipeline.cli.molecules:molecules",
        "Convert, filter, link or draw tables of molecules.",
    ),
    LazyCommand(
        "drift",
        "smlm_pipeline.cli.drift:drift",
        "Take the drift of the sample out of a table of molecules.",
    ),
    LazyCommand(
        "resolution",
        "smlm_pipeline.cli.resolution:resolution",
        "Measure the resolution of INPUT.",
    ),
    LazyCommand(
        "serve",
        "smlm_pipeline.cli.serve:serve",
        "Run the embedded Triton server on this machine until Ctrl-C.",
    ),
    LazyCommand(
        "gate",
        "smlm_pipeline.cli.gate:gate",
        "Check the requests of clients that are not trusted, and pass them on to servers.",
    ),
    LazyCommand(
        "status",
        "smlm_pipeline.cli.status:status",
        "Report whether servers are ready, what they serve and whether that fits this client.",
    ),
    LazyCommand(
        "schema",
        "smlm_pipeline.cli.json_output:schema",
        "Print the JSON schema of all that commands print with --json.",
    ),
    LazyCommand(
        "plan",
        "smlm_pipeline.cli.plan:app",
        "TensorRT plans for the GPU of this machine, and the memory that a server needs.",
    ),
)

app = lazy_app(
    *COMMANDS,
    program="recon-client",
    help="Super-resolution images from films of blinking molecules, through NVIDIA Triton.",
    epilog=f"{EXIT_CODES} To continue a run that failed or was interrupted, give the "
    "same command with --resume.",
)
