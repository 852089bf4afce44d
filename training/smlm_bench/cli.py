"""``recon-bench``: methods side by side on a film, engines by speed, servers under load."""

from __future__ import annotations

from smlm_pipeline.cli.exit_codes import EXIT_CODES
from smlm_pipeline.cli.lazy_commands import LazyCommand, lazy_app

COMMANDS = (
    LazyCommand(
        "table",
        "smlm_bench.table.command:table",
        "Reconstruct a film by every method, score all with one scorer, write a table and a "
        "figure.",
    ),
    LazyCommand(
        "speed",
        "smlm_bench.speed.commands:speed",
        "Time engines side by side: ONNX Runtime, OpenVINO, Triton; Deep-STORM's layers, Keras.",
    ),
    LazyCommand(
        "stages",
        "smlm_bench.speed.commands:stages",
        "Profile what is left besides the network: each stage alone, and each process of a run.",
    ),
    LazyCommand(
        "messages",
        "smlm_bench.speed.commands:messages",
        "Compare the bytes of answers with those of the frames, for requests of the usual size.",
    ),
    LazyCommand(
        "load",
        "smlm_bench.load.command:load",
        "Put one or two servers under load for a given time, by default on this machine only.",
    ),
    LazyCommand(
        "scaling",
        "smlm_bench.scaling.command:scaling",
        "Measure how throughput grows with the number of servers.",
    ),
    LazyCommand(
        "gate",
        "smlm_bench.gate.command:gate",
        "Measure what a gate or a proxy before a server costs, side by side.",
    ),
    LazyCommand(
        "client",
        "smlm_bench.speed.commands:client",
        "Measure the client alone: megabytes of raw frames per second, and the limit of each "
        "stage.",
    ),
    LazyCommand(
        "memory",
        "smlm_bench.speed.commands:memory",
        "Measure the client's peak memory on films of 6 GB and of 2048 x 2048 pixels.",
    ),
    LazyCommand(
        "frontier",
        "smlm_bench.speed.commands:frontier",
        "Time trained networks side by side, and show the errors of their cards against time.",
    ),
    LazyCommand(
        "disturb",
        "smlm_bench.disturb.command:disturb",
        "Disturb three films as instruments do, and compare the images with what is to be found.",
    ),
    LazyCommand(
        "structures",
        "smlm_bench.structures.command:structures",
        "Score a network on films of structures that training cannot make.",
    ),
    LazyCommand(
        "nairr",
        "smlm_bench.nairr.command:nairr",
        "Score a network on the public benchmark NAIRR-SMLM, beside the published rows.",
    ),
    LazyCommand(
        "refinement",
        "smlm_bench.refinement.command:refinement",
        "Refine films of known truth, and show by how much their errors shrink or grow.",
    ),
    LazyCommand(
        "drift",
        "smlm_bench.drift.command:drift",
        "Take known drifts out of films, and measure known resolutions.",
    ),
    LazyCommand(
        "channels",
        "smlm_bench.channels.command:channels",
        "Register the channels of films whose displacement is known.",
    ),
    LazyCommand(
        "gpu-check",
        "smlm_bench.gpu.commands:gpu_check",
        "Check and measure everything that needs an NVIDIA GPU, and write one report.",
    ),
    LazyCommand(
        "gpu-kernels",
        "smlm_bench.gpu.commands:gpu_kernels",
        "Compare the CuPy kernels with NumPy's, time them, and print JSON.",
    ),
    LazyCommand(
        "gpu-expected",
        "smlm_bench.gpu.commands:gpu_expected",
        "Print the frames per second that GPUs are expected to compute, by calculation.",
    ),
    LazyCommand(
        "ship",
        "smlm_bench.networks.command:ship",
        "Add the network of a finished run to those that the checkout's comparison brings.",
    ),
)

app = lazy_app(
    *COMMANDS,
    program="recon-bench",
    help="Compare methods on a film with its truth, engines by their speed, servers under load.",
    epilog=EXIT_CODES,
)
