"""Fetches a workspace once, to be killed meanwhile."""

import asyncio
import sys
from pathlib import Path

from repositories import Host

asyncio.run(Host(Path(sys.argv[1]), sys.argv[2]).workspaces.sync())
