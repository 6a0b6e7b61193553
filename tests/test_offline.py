"""The guard of conftest.py: what leaves this machine is refused, what stays on it is not."""

from __future__ import annotations

import os
import socket

import pytest


def test_a_name_cannot_be_looked_up() -> None:
    with pytest.raises(AssertionError, match=r"'savor\.example'.*without a network"):
        socket.create_connection(("savor.example", 80))


def test_an_address_cannot_be_reached() -> None:
    with socket.socket() as outside, pytest.raises(AssertionError, match=r"192\.0\.2\.1"):
        outside.connect(("192.0.2.1", 80))


def test_this_machine_may_talk_to_itself() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.create_connection(server.getsockname()) as client,
    ):
        assert client.getpeername() == server.getsockname()


def test_models_are_never_fetched() -> None:
    assert os.environ["HF_HUB_OFFLINE"] == "1"
