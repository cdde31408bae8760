"""Proxies as the environment names them: HTTP_PROXY, HTTPS_PROXY, ALL_PROXY, NO_PROXY (lower case wins)."""

from __future__ import annotations

import ipaddress
import os

from goctl.system.addresses import is_loopback


def proxy_for(scheme: str, host: str, port: int) -> str | None:
    """The URL of the proxy that requests to a host go through; None for a direct way. This machine is always direct."""
    if is_loopback(host) or not any(name.lower().endswith("_proxy") for name in os.environ):
        return None
    # typeshed does not know the second; the documented proxy_bypass would ask Windows' settings for their exceptions.
    from urllib.request import getproxies_environment, proxy_bypass_environment  # type: ignore[attr-defined]

    proxies = getproxies_environment()
    proxy = proxies.get(scheme) or proxies.get("all")
    if not proxy or proxy_bypass_environment(f"{host}:{port}", proxies) or _in_network(host, proxies.get("no", "")):
        return None
    return proxy if "://" in proxy else f"http://{proxy}"


def _in_network(host: str, exceptions: str) -> bool:
    """Whether an address lies in one of the networks (`10.0.0.0/8`) of NO_PROXY, as curl and Go read it."""
    try:
        address = ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return False
    for part in exceptions.split(","):
        try:
            if address in ipaddress.ip_network(part.strip(), strict=False):
                return True
        except ValueError:
            continue
    return False
