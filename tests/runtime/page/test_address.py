from __future__ import annotations

import socket

import pytest

from runtime.errors import DataError, UsageError
from runtime.page.address import listen, page_url, resolve


def test_what_only_this_machine_reaches() -> None:
    assert resolve("127.0.0.1", 80).loopback
    assert resolve("localhost", 80).loopback
    assert resolve("::1", 80).loopback
    assert not resolve("0.0.0.0", 80).loopback
    assert not resolve("::", 80).loopback
    assert not resolve("192.0.2.7", 80).loopback


@pytest.mark.parametrize("host", ["no.such.host.invalid", "256.1.1.1", "a" * 300, "a b", "\udcff"])
def test_no_address(host: str) -> None:
    with pytest.raises(UsageError, match="^--host .*: no address of this machine"):
        resolve(host, 80)


def test_the_page_says_where_it_is() -> None:
    with listen(resolve("127.0.0.1", 0), "127.0.0.1") as listener:
        assert page_url(listener, loopback=True) == f"http://127.0.0.1:{listener.getsockname()[1]}/"
    with listen(resolve("0.0.0.0", 0), "0.0.0.0") as listener:
        assert "0.0.0.0" not in page_url(listener, loopback=False)


@pytest.mark.skipif(not socket.has_ipv6, reason="no IPv6 here")
def test_ipv6() -> None:
    try:
        listener = listen(resolve("::1", 0), "::1")
    except DataError:
        pytest.skip("this machine has no ::1")
    with listener:
        assert page_url(listener, loopback=True) == f"http://[::1]:{listener.getsockname()[1]}/"


def test_a_taken_port() -> None:
    with listen(resolve("127.0.0.1", 0), "127.0.0.1") as listener:
        port = listener.getsockname()[1]
        with pytest.raises(DataError, match=f"^--port {port}: taken by another program"):
            listen(resolve("127.0.0.1", port), "127.0.0.1")


def test_another_machines_address() -> None:
    with pytest.raises(DataError, match=r"^--host 192\.0\.2\.77: not an address of this machine"):
        listen(resolve("192.0.2.77", 0), "192.0.2.77")
