"""The Prefect block for result storage."""

from pathlib import Path

from prefect.filesystems import LocalFileSystem


async def save_storage_block(directory: Path, name: str = "agent-results") -> str:
    """Create or update the block for `directory` in Prefect and return its reference.

    The reference is the value of PREFECT_RESULTS_DEFAULT_STORAGE_BLOCK. Without it, Prefect asks the server for its
    default at each run, with a synchronous call on the event loop.
    """
    directory.mkdir(parents=True, exist_ok=True)
    await LocalFileSystem(basepath=str(directory)).asave(name, overwrite=True)
    return f"local-file-system/{name}"
