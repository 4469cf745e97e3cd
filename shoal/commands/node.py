"""`shoal node`: list."""

import typer

from engine.protocol import NodeStatus, why_apart
from shoal.node_calls import ask_nodes
from shoal.options.groups import with_groups
from shoal.options.nodes import NodeOptions
from shoal.options.shared import DATA_DIR, AsJson, DataDir
from shoal.printing import print_json, print_table

app = typer.Typer(no_args_is_help=True, help="Engine nodes: what they hold and how busy they are.")


@app.callback()
def node() -> None:
    """Engine nodes."""


@app.command("list")
@with_groups
def list_(*, nodes: NodeOptions, as_json: AsJson = False, data_dir: DataDir = DATA_DIR) -> None:
    """Every node that is named with --node, or else the one of the running `shoal serve`."""
    answers = ask_nodes(nodes, data_dir)
    if as_json:
        print_json([{"pool": pool, "url": url, "status": status} for pool, url, status in answers])
        return
    print_table(
        ("POOL", "NODE", "STATE", "DEVICE", "MEMORY", "WAITING", "MODELS"),
        [(pool, url, *_columns(status)) for pool, url, status in answers],
    )
    if any(isinstance(status, str) or why_apart(status) for _, _, status in answers):
        raise typer.Exit(1)


def _columns(status: NodeStatus | str) -> tuple[object, ...]:
    if isinstance(status, str):
        return (status, None, None, None, None)
    memory = f"{status.memory_used / 2**20:,.0f} of {status.memory_budget / 2**20:,.0f} MiB"
    models = tuple(f"{model.id} ({model.state})" for model in status.models)
    state = why_apart(status) or ("ready" if status.ready else "draining")
    return (state, status.device, memory, f"{status.waiting_tokens} tokens", models)
