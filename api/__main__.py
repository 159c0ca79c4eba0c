"""Starts a host: `python -m api`."""

import gc
from importlib import import_module

if __name__ == "__main__":
    gc.disable()  # nothing that is imported is ever garbage: a sixth of the time to start
    server = import_module("api.server")
    gc.freeze()
    gc.enable()
    server.main()
