"""Options as text."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any


def pairs(options: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The options that are not None, with their values as SQL spells them."""
    return [(name, _text(value)) for name, value in options.items() if value is not None]


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, timedelta):
        return f"{round(value.total_seconds() * 1000)}ms"
    if isinstance(value, (list, tuple)):
        return ", ".join(map(str, value))
    return str(value)
