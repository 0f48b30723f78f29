"""`ssl-av list recipes`: grouped by method, without importing torch."""

from __future__ import annotations

from itertools import groupby

from ssl_av.recipes import Recipe, list_recipes


def show_recipes(method: str | None) -> int:
    """Prints the recipes of all methods, or of one.

    Raises:
        UserError: for a method without recipes.
    """
    from rich.console import Console
    from rich.table import Table

    from ssl_av.methods import list_methods

    console, titles = Console(), list_methods()
    recipes = list_recipes(method)
    for name, group in groupby(recipes, key=lambda r: r.method["name"]):
        console.print(f"\n[bold]{titles.get(name, name)}[/]", soft_wrap=True)
        table = Table("recipe", "data, backbones", "epochs", "reported, %", box=None, padding=(0, 2, 0, 0))
        table.columns[0].no_wrap = True
        for recipe in group:
            table.add_row(recipe.name, _made_of(recipe), recipe.length, "\n".join(recipe.numbers) or "–")
        console.print(table)
    console.print("\nWhat a recipe is and costs: ssl-av fit --recipe NAME --dry-run", highlight=False)
    return 0


def _made_of(recipe: Recipe) -> str:
    return "\n".join([recipe.data["name"], *recipe.networks.values()])
