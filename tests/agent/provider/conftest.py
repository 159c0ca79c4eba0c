"""Fixtures of a provider and of the proxy to it."""

from far_end import provider, proxy

__all__ = ["provider", "proxy"]
