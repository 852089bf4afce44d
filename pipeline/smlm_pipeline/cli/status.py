"""``recon-client status``: the state of one server, or of several."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

import typer
from rich.console import Console
from rich.table import Table

from smlm_pipeline import contract
from smlm_pipeline.cli.exit_codes import door
from smlm_pipeline.cli.options import Model, Server
from smlm_pipeline.engines import fleet, opening
from smlm_pipeline.engines.canary import Canary
from smlm_pipeline.errors import ContractError, ServerError
from smlm_pipeline.settings import Settings

if TYPE_CHECKING:
    from smlm_pipeline.engines.triton.transport import ServerStatus


States: TypeAlias = "Mapping[str, ServerStatus | ServerError]"
"""What each address says of itself, or why it does not answer."""


Canaries: TypeAlias = Mapping[str, Canary]
"""What was found by those that were asked to find something."""


def as_dict(states: States, canaries: Canaries) -> dict[str, Any]:
    """For JSON: the state of a single server as it is, or those of several in a list."""
    told = [_as_dict(address, state, canaries) for address, state in states.items()]
    if len(told) == 1:
        return told[0]
    return {"servers": told, "fits": complaint(states) is None}


def show(states: States, canaries: Canaries, console: Console) -> None:
    """A table of each server's models."""
    for address, state in states.items():
        if isinstance(state, ServerError):
            _say(console, f"{address}: {state}")
            continue
        ready = "ready" if state.ready else "not ready"
        _say(console, f"Triton {state.server_version} at {address}: {ready}")
        console.print(_table(state))
        if address in canaries:
            found = canaries[address]
            _say(console, f"canary: {found.emitters:.2f} of 1 emitter, {found.elapsed_ms:.0f} ms")


def complaint(states: States) -> ContractError | None:
    """What keeps this client from using all those that answer, together."""
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
    asked = next(iter(answering.values())).asked
    return fleet.unlike_networks(versions, asked)


def _say(console: Console, text: str) -> None:
    """As it is: an IPv6 address looks like rich's markup."""
    console.print(text, markup=False, emoji=False, highlight=False, soft_wrap=True)


def _as_dict(address: str, state: ServerStatus | ServerError, canaries: Canaries) -> dict[str, Any]:
    if isinstance(state, ServerError):
        return {"address": address, "ready": False, "fits": False, "error": str(state)}
    found = {"canary": asdict(canaries[address])} if address in canaries else {}
    return {**state.as_dict(), **found}


def _table(state: ServerStatus) -> Table:
    table = Table("model", "ready", "versions", "contract", "fits this client")
    for each in state.models:
        table.add_row(
            each.name,
            "yes" if each.ready else "no",
            ", ".join(each.versions) or "-",
            each.contract_version or "-",
            "yes" if each.fits else "no",
        )
    return table


def status(
    server: Server = None,
    model: Model = Settings.model,
    ask_canary: Annotated[
        bool,
        typer.Option("--canary", help="Also send a frame with one molecule, which is to be found."),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False,
) -> None:
    """Tell whether servers are ready, what they serve and whether that fits this client."""
    with door():
        states = fleet.server_states(server or f"127.0.0.1:{contract.GRPC_PORT}", model)
        canaries = {
            address: opening.server_canary(address, model)
            for address, state in states.items()
            if ask_canary and not isinstance(state, ServerError) and state.fits
        }
        if as_json:
            typer.echo(json.dumps(as_dict(states, canaries), indent=2))
        else:
            show(states, canaries, Console())
        if reason := complaint(states):
            raise reason
