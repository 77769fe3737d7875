"""Calls that wait, for asyncio."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

from ._landfall import Stop

T = TypeVar("T")


async def in_thread(call: Callable[[Stop], T]) -> T:
    """Runs a call in another thread. If the task is cancelled, stops the call and waits until it has rolled back."""
    stop = Stop()
    running = asyncio.get_running_loop().run_in_executor(None, call, stop)
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        stop.stop()
        await asyncio.wait([running])
        # What it raised is known: it was stopped.
        running.exception()
        raise
