"""Recognizes data: paths, tables in memory, and streams."""

from __future__ import annotations

import os
import sys
from typing import Any

Source = tuple[list[str] | None, Any, bool]

# Types whose rows are in memory, so that their Arrow data can be read again.
_IN_MEMORY = {"pyarrow": ("Table", "RecordBatch"), "polars": ("DataFrame",)}


def source(data: Any) -> Source:
    """The paths, or the object that has the Arrow data, and whether that can be read again."""
    if isinstance(data, (str, os.PathLike)):
        return [os.fspath(data)], None, False
    if isinstance(data, (list, tuple)) and data and all(isinstance(path, (str, os.PathLike)) for path in data):
        return [os.fspath(path) for path in data], None, False
    if _is(data, "pandas", "DataFrame"):
        return None, _table(data), True
    if hasattr(data, "__arrow_c_stream__") or hasattr(data, "__arrow_c_array__"):
        return None, data, any(_is(data, module, name) for module, names in _IN_MEMORY.items() for name in names)
    hint = "call collect() first" if _is(data, "polars", "LazyFrame") else "see help(landfall.write)"
    if hasattr(data, "__next__"):
        hint = "use pyarrow.RecordBatchReader.from_batches(schema, generator) to write record batches"
    raise TypeError(f"data cannot be a {type(data).__module__}.{type(data).__qualname__}: {hint}")


def _is(data: Any, module: str, name: str) -> bool:
    """Whether it is of a type of a module, which is not imported for it."""
    kind = getattr(sys.modules.get(module), name, None)
    return isinstance(kind, type) and isinstance(data, kind)


def _table(frame: Any) -> Any:
    """A pandas DataFrame as a pyarrow Table. An index with a name is a column; the usual one, without a name, is not."""
    try:
        import pyarrow
    except ImportError as error:
        raise ImportError("writing a pandas DataFrame needs pyarrow: pip install pyarrow") from error
    has_names = all(name is not None for name in frame.index.names)
    return pyarrow.Table.from_pandas(frame, preserve_index=None if has_names else False)
