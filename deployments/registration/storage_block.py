"""The block that says where results of runs are kept."""

from pathlib import Path

from prefect.filesystems import LocalFileSystem


async def save_storage_block(directory: Path, name: str = "agent-results") -> str:
    """Have the server know `directory` as a block, made or moved as needed, and return its reference.

    The reference is what PREFECT_RESULTS_DEFAULT_STORAGE_BLOCK wants. Without one, Prefect asks the server for its
    default at each run, with a synchronous call on the event loop.
    """
    directory.mkdir(parents=True, exist_ok=True)
    await LocalFileSystem(basepath=str(directory)).asave(name, overwrite=True)
    return f"local-file-system/{name}"
