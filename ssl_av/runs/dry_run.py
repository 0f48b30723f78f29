"""`ssl-av fit --dry-run`: resolves a run and says what it would cost, without data."""

from __future__ import annotations

import yaml

from ssl_av.config import RunConfig
from ssl_av.errors import UserError
from ssl_av.recipes import Recipe
from ssl_av.recipes.compose import nominal_size


def dry_run(config: RunConfig, recipe: Recipe | None, devices: int, tflops: float) -> int:
    """Prints the resolved run, its networks, steps, FLOPs, memory and GPU-hours.

    Raises:
        UserError: if the run cannot be built, or its training split's size is not known.
    """
    if devices < 1:
        raise UserError(f"--devices must be at least 1, got {devices}")
    if not tflops > 0:
        raise UserError(f"--tflops must be above 0, got {tflops:g}")
    from rich.console import Console
    from rich.table import Table

    from ssl_av.runs.cost import measure

    samples = training_samples(config, recipe)
    cost = measure(config, samples)
    clock, cost = cost.steps is None, cost.by_the_clock(cost.flops / (devices * tflops * 1e12))
    assert cost.steps is not None
    assert cost.samples is not None
    at = f"at {tflops:g} TFLOP/s sustained (--tflops)"
    about, why = ("about ", f", {at}: known only at the end") if clock else ("", "")
    console = Console(highlight=False, soft_wrap=True)
    console.print(yaml.safe_dump(config.to_dict(), sort_keys=False, default_flow_style=None), markup=False)
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    if recipe is not None:
        for k, row in enumerate(recipe.paper):
            table.add_row("paper" if k == 0 else "", row)
        table.add_row("reported", "; ".join(recipe.numbers) or "no number")
        table.add_row("follows", "; ".join([f"the {recipe.follows}", *recipe.differs]))
    for k, (name, shape) in enumerate(cost.views.items()):
        table.add_row("views" if k == 0 else "", f"{name} {' × '.join(map(str, shape))}")
    for k, (name, count) in enumerate(cost.parameters.items()):
        table.add_row("parameters" if k == 0 else "", f"{name} {count:,}")
    table.add_row("training split", f"{samples:,} videos")
    table.add_row("to be seen", f"{about}{cost.samples:,} videos ({cost.samples / samples:,.4g} passes)")
    table.add_row("steps", f"{about}{cost.steps:,} of {cost.batch_size} videos{why}")
    each = cost.flops / cost.batch_size
    table.add_row(
        "FLOPs", f"{cost.flops:.3g} a step, {each / 1e9:.4g}G a video: forward and backward, without the loss"
    )
    where = f"each of {devices} GPUs" if devices > 1 else "one GPU"
    table.add_row(
        "GPU memory",
        f"{cost.memory(devices) / 2**30:.3g} GiB on {where}: parameters and gradients "
        f"{8 * cost.parameters['total'] / 2**30:.2g}, optimiser {cost.state / 2**30:.2g}, buffers "
        f"{cost.buffers / 2**30:.2g}, kept for the backward{' (16 bits)' if cost.mixed else ''} the rest",
    )
    table.add_row("GPU-hours", f"{cost.hours(tflops):,.3g} {at}")
    console.print(table)
    return 0


def training_samples(config: RunConfig, recipe: Recipe | None) -> int:
    """Videos of the training split: as the paper counts them, for a recipe; else by the data set's name or its lists.

    Raises:
        UserError: if it cannot be told.
    """
    name = config.data["name"]
    if recipe is not None and recipe.data["name"] == name:
        return recipe.training_samples
    if name == "synthav":
        from ssl_av.data.datasets.synthav import SynthavDataset

        return int(config.dataset_args.get("train", SynthavDataset.train))
    if (known := nominal_size(name)) is not None:
        return known
    from ssl_av.data.datasets import create_dataset

    rows, _ = create_dataset(name, **config.dataset_args).rows()
    return sum(row.split == "train" for row in rows)
