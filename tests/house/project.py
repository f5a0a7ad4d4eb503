"""The project as its own tests see it: where it lies, and its modules as syntax trees."""

import ast
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent


@dataclass(frozen=True, slots=True)
class Module:
    """One Python module of the product: its path below the root, its text, its syntax tree."""

    path: Path
    text: str
    tree: ast.Module

    @property
    def package(self) -> str:
        """The package below `airback` that it belongs to, such as `orders`; empty for `airback` itself."""
        parts = self.path.relative_to("src/airback").parts
        return parts[0] if len(parts) > 1 else ""
