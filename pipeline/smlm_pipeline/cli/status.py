"""``recon-client status``: the state of servers and of their models."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Annotated, Any, TypeAlias

import typer
from rich.console import Console
from rich.table import Table

from smlm_pipeline import contract
from smlm_pipeline.cli.connection_options import ConnectionOptions
from smlm_pipeline.cli.exit_codes import door
from smlm_pipeline.cli.json_output import print_json
from smlm_pipeline.cli.option_groups import with_groups
from smlm_pipeline.cli.options import (
    ADDRESSES,
    ENGINE_PANEL,
    OUTPUT_PANEL,
    SERVER_VARIABLE,
    Model,
)
from smlm_pipeline.engines import fleet, opening
from smlm_pipeline.engines.canary import Canary
from smlm_pipeline.engines.triton.addresses import Address, Servers
from smlm_pipeline.engines.triton.status import ServerStatus
from smlm_pipeline.errors import ContractError, ReconError, ServerError
from smlm_pipeline.settings import Settings

States: TypeAlias = Mapping[Address, ServerStatus | ServerError]
"""The state of each server, or the error of one that does not answer."""

Canaries: TypeAlias = Mapping[Address, Canary | ReconError]
"""The answers of the servers that were sent a canary, or why one did not pass."""


def as_dict(states: States, canaries: Canaries) -> dict[str, Any]:
    """Convert to a dictionary for JSON: the state of a single server, or a list of several."""
    servers = [_server_as_dict(address, state, canaries) for address, state in states.items()]
    if len(servers) == 1:
        return servers[0]
    return {"servers": servers, "fits": complaint(states, canaries) is None}


def show(states: States, canaries: Canaries, console: Console) -> None:
    """Print a table of each server's models."""
    for address, state in states.items():
        if isinstance(state, ServerError):
            _say(console, f"{address}: {state}")
            continue
        ready = "ready" if state.ready else "not ready"
        _say(console, f"Triton {state.server_version} at {address}: {ready}")
        console.print(_table(state))
        if address in canaries:
            _say(console, _in_words(canaries[address]))


def complaint(states: States, canaries: Canaries) -> ReconError | None:
    """Return why this client cannot use all servers that answer, together; None if it can."""
    answering = {
        address: state for address, state in states.items() if not isinstance(state, ServerError)
    }
    for address, state in answering.items():
        if not state.fits:
            return ContractError(
                f"{state.asked!r} of the server at {address} does not fit this client, which "
                f"speaks contract version {contract.CONTRACT_VERSION}; start the server on this "
                "project's model_repository"
            )
    versions = {address: state.network_version for address, state in answering.items()}
    model = next(iter(answering.values())).asked
    broken = [canary for canary in canaries.values() if isinstance(canary, ReconError)]
    return fleet.unlike_networks(versions, model) or next(iter(broken), None)


def _say(console: Console, text: str) -> None:
    """Print text as it is: an IPv6 address looks like rich's markup."""
    console.print(text, markup=False, emoji=False, highlight=False, soft_wrap=True)


def _server_as_dict(
    address: Address, state: ServerStatus | ServerError, canaries: Canaries
) -> dict[str, Any]:
    if isinstance(state, ServerError):
        return {"address": str(address), "ready": False, "fits": False, "error": str(state)}
    canary = canaries.get(address)
    if canary is None:
        return state.as_dict()
    if isinstance(canary, ReconError):
        return {**state.as_dict(), "fits": False, "canary": {"error": str(canary)}}
    return {**state.as_dict(), "canary": asdict(canary)}


def _in_words(canary: Canary | ReconError) -> str:
    if isinstance(canary, ReconError):
        return f"the canary did not pass: {canary}"
    return f"canary: {canary.emitters:.2f} of 1 emitter, {canary.elapsed_ms:.0f} ms"


def _canary(server: Servers, model: str) -> Canary | ReconError:
    try:
        return opening.server_canary(server, model)
    except ReconError as error:
        return error


def _table(state: ServerStatus) -> Table:
    table = Table("model", "ready", "versions", "contract", "fits this client")
    for model in state.models:
        table.add_row(
            model.name,
            "yes" if model.ready else "no",
            ", ".join(model.versions) or "-",
            model.contract_version or "-",
            "yes" if model.fits else "no",
        )
    return table


@with_groups
def status(
    *,
    server: Annotated[
        str,
        typer.Option(
            envvar=SERVER_VARIABLE,
            metavar=ADDRESSES,
            help="gRPC endpoint of a running Triton server, or of several.",
            rich_help_panel=ENGINE_PANEL,
        ),
    ] = f"127.0.0.1:{contract.GRPC_PORT}",
    connection: ConnectionOptions,
    model: Model = Settings.model,
    canary: Annotated[
        bool,
        typer.Option(
            help="Send a frame with one molecule, and fail unless the server finds it.",
            rich_help_panel=ENGINE_PANEL,
        ),
    ] = True,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print as JSON.", rich_help_panel=OUTPUT_PANEL)
    ] = False,
) -> None:
    """Report whether servers are ready, what they serve and whether that fits this client."""
    with door(as_json=as_json):
        servers = Servers.parse(server, connection.tls())
        states = fleet.server_states(servers, model)
        canaries = {
            address: _canary(servers.only(address), model)
            for address, state in states.items()
            if canary and not isinstance(state, ServerError) and state.fits
        }
    with door():  # what fails from here on is part of the JSON: "fits"
        if as_json:
            print_json(as_dict(states, canaries))
        else:
            show(states, canaries, Console())
        if reason := complaint(states, canaries):
            raise reason
