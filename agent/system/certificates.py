"""Certificate authorities for model calls: the system's, certifi's, and those of NODE_EXTRA_CA_CERTS."""

from __future__ import annotations

import logging
import ssl
from collections.abc import Mapping

import certifi

_log = logging.getLogger(__name__)


def trusted_authorities(environ: Mapping[str, str]) -> ssl.SSLContext:
    """Return a context that trusts what a CLI without our proxy would, and what this system does.

    A file in NODE_EXTRA_CA_CERTS that cannot be used is logged and ignored, as Node does.
    """
    context = ssl.create_default_context()  # the system's store, or SSL_CERT_FILE and SSL_CERT_DIR
    context.load_verify_locations(certifi.where())  # a small image may have no store
    if problem := _add_extra(context, environ):
        _log.warning("%s", problem)
    return context


def check_extra_authorities(environ: Mapping[str, str]) -> str | None:
    """Return what is wrong with the file in NODE_EXTRA_CA_CERTS; None if nothing is."""
    return _add_extra(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), environ)


def _add_extra(context: ssl.SSLContext, environ: Mapping[str, str]) -> str | None:
    path = environ.get("NODE_EXTRA_CA_CERTS")
    if not path:
        return None
    try:
        context.load_verify_locations(path)
    except (OSError, ssl.SSLError) as error:
        reason = "it is no list of certificates" if isinstance(error, ssl.SSLError) else error.strerror
        return f"NODE_EXTRA_CA_CERTS={path} is not used: {reason}"
    return None
