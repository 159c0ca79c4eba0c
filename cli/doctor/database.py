"""Check of the store's database, which must be in reach with tables that this version knows."""

from __future__ import annotations

from pathlib import Path

from agent.sandbox.mounts import is_there
from cli.doctor.context import DoctorContext
from cli.doctor.finding import Finding, broken, ok
from store.database.address import display_address, parse_address
from store.database.database import Database
from store.database.migration import find_revision
from store.database.schema import REVISION
from store.errors import StoreUnavailable
from store.settings import default_database_url


async def check_database(world: DoctorContext) -> list[Finding]:
    """Check the database and change nothing: the service's start creates and upgrades tables."""
    address = world.store.database_url or default_database_url(world.agent.state_dir)
    try:
        url = parse_address(address)
        if url.drivername == "sqlite" and url.database and not is_there(Path(url.database)):
            return [_to_be_made(Path(url.database))]
        database = Database(address)
        try:
            revision = await find_revision(database)
        finally:
            await database.close()
    except StoreUnavailable as error:
        return [broken("database", error.reason, error.remedy or "start it, or correct DATABASE_URL")]
    where = display_address(url)
    if revision is None:
        return [ok("database", f"{where} answers; the first start creates its tables")]
    if revision > REVISION:
        text = f"{where} was migrated by a newer version of this service ({revision}, and not {REVISION})"
        return [broken("database", text, "run that version, or set another database in DATABASE_URL")]
    if revision < REVISION:
        return [ok("database", f"{where} answers; the next start upgrades its tables to {REVISION}")]
    return [ok("database", f"{where} answers, and is migrated")]


def _to_be_made(path: Path) -> Finding:
    place = next(parent for parent in path.parents if is_there(parent))
    if not place.is_dir():
        return broken("database", f"{path}: {place} is no directory", "correct DATABASE_URL")
    return ok("database", f"{path} is created by the first start")
