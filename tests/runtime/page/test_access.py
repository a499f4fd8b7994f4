from __future__ import annotations

from email.message import Message
from http import HTTPStatus

import pytest

from runtime.page.access import Access, own_names

ACCESS = Access(own_names("192.168.1.5", ("Pi.Example.org",), "kitchen.lan"), "secret-secret-secret", "token_80")


def headers(**values: str) -> Message:
    message = Message()
    for name, value in ({"Host": "kitchen:80"} | values).items():
        message[name.replace("_", "-")] = value
    return message


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "LOCALHOST:9000",
        "127.0.0.1:8080",
        "10.1.2.3",
        "[::1]:8080",
        "[fe80::1]",
        "kitchen",
        "kitchen.lan",
        "kitchen.local:80",
        "pi.example.org",
        "pi.example.org.",
    ],
)
def test_names_that_mean_this_machine(host: str) -> None:
    assert ACCESS.knows(host)


@pytest.mark.parametrize(
    "host",
    [
        "",
        "evil.example",
        "127.0.0.1.evil.example",
        "localhost.evil.example",
        "localhost@evil.example",
        "kitchen.evil",
        "[::1",
        "::1",
        "[]",
        "localhost:",
        "localhost:80:80",
        "localhost:999999",
        "localhost evil.example",
        "http://localhost",
        "1e3",
        "0x7f000001",
    ],
)
def test_names_that_may_be_another_site_in_disguise(host: str) -> None:
    assert not ACCESS.knows(host)
    refusal = ACCESS.refusal_of(headers(Host=host), navigates=True)
    assert refusal is not None
    assert refusal.status == HTTPStatus.MISDIRECTED_REQUEST


@pytest.mark.parametrize("origin", ["http://kitchen:80", "https://kitchen:80", "HTTP://KITCHEN:80"])
def test_the_page_itself_may_ask(origin: str) -> None:
    assert ACCESS.refusal_of(headers(Origin=origin), navigates=False) is None


@pytest.mark.parametrize("origin", ["http://evil.example", "http://kitchen", "http://kitchen:81", "null", ""])
def test_another_site_may_not(origin: str) -> None:
    refusal = ACCESS.refusal_of(headers(Origin=origin), navigates=True)
    assert refusal is not None
    assert refusal.status == HTTPStatus.FORBIDDEN


def test_another_site_may_link_to_the_page_but_not_show_its_pictures() -> None:
    link = {"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Mode": "navigate"}
    picture = {"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Mode": "no-cors"}
    assert ACCESS.refusal_of(headers(**link), navigates=True) is None
    assert ACCESS.refusal_of(headers(**link), navigates=False) is not None
    assert ACCESS.refusal_of(headers(**picture), navigates=True) is not None
    assert ACCESS.refusal_of(headers(Sec_Fetch_Site="same-site"), navigates=False) is not None
    assert ACCESS.refusal_of(headers(Sec_Fetch_Site="same-origin"), navigates=False) is None


def test_the_token_in_each_of_its_places() -> None:
    good = "secret-secret-secret"
    assert ACCESS.admits(headers(), good)
    assert ACCESS.admits(headers(Authorization=f"Bearer {good}"), None)
    assert ACCESS.admits(headers(Authorization=f"bearer  {good}"), "wrong")
    assert ACCESS.admits(headers(Cookie=f"a=b; token_80={good}; c"), None)


def test_wrong_tokens() -> None:
    good = "secret-secret-secret"
    for asked in (None, "", good[:-1], good + "x", good.upper(), "\udcff", "é" * 20):
        assert not ACCESS.admits(headers(), asked)
    assert not ACCESS.admits(headers(Authorization=good), None)
    assert not ACCESS.admits(headers(Authorization=f"Basic {good}"), None)
    assert not ACCESS.admits(headers(Cookie=f"token_81={good}; xtoken_80={good}"), None)


def test_no_token_is_demanded_of_anybody() -> None:
    assert Access(frozenset(), None, "c").admits(headers(), None)
