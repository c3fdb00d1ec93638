"""The commands that say what there is: `models` and `machine`."""

from __future__ import annotations

import modelzoo_runner


def models(*, verify: bool = False) -> None:
    """List the models.

    Args:
        verify: ask every location of every model instead.
    """
    if verify:
        from modelzoo_runner.cli import storage

        storage.verify_models()
        return
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None)
    for name in ("model", "precisions", "batches"):
        table.add_column(name, no_wrap=True)
    table.add_column("what it is")
    for preset in modelzoo_runner.models().values():
        runs = [each for runs in preset.run.values() for each in runs.values()]
        batches = sorted({run.batch_size for run in runs}, reverse=True)
        table.add_row(
            preset.name,
            " ".join(preset.precisions),
            " ".join(str(each) for each in batches),
            preset.description,
        )
    Console().print(table)


def machine() -> None:
    """Show the CPUs here and which of them may be used."""
    print(modelzoo_runner.machine())
