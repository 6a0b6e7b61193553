"""Who may ask and who may write: hosts, other sites, tokens, limits, and what browsers are told."""

from __future__ import annotations

import pytest

from savor.errors import UsageError
from savor.server.settings import Limits, Settings

TOKEN = "parsley-sage-rosemary"
BEARER = {"Authorization": f"Bearer {TOKEN}"}


@pytest.fixture(scope="module")
def guarded(serve, toy_index):
    """A server with a token that others can reach."""
    return serve(toy_index, "http://kitchen.example:8080", token=TOKEN, loopback=False)


@pytest.fixture(scope="module")
def proxied(serve, toy_index):
    """A server on loopback behind a proxy."""
    return serve(toy_index, token=TOKEN, public_url="https://recipes.example")


@pytest.mark.parametrize("host", ["127.0.0.1:8080", "localhost", "[::1]:9", "LOCALHOST:1"])
def test_loopback_answers_to_its_own_names(client, host) -> None:
    assert client.get("/health", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example", "[", ""]
)
def test_loopback_answers_to_no_other_name(client, error_of, host) -> None:
    answer = client.get("/health", headers={"Host": host})
    assert (answer.status_code, error_of(answer)) == (421, "wrong_host")


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:3000"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
def test_other_sites_change_nothing(client, error_of, headers) -> None:
    for send in (
        lambda: client.post("/import", files={"files": ("a.html", b"x")}, headers=headers),
        lambda: client.post("/search", data={"text": "soup"}, headers=headers),
        lambda: client.delete("/recipes/x", headers=headers),
    ):
        answer = send()
        assert (answer.status_code, error_of(answer)) == (403, "cross_site")


@pytest.mark.parametrize(
    "headers", [{}, {"Origin": "http://127.0.0.1:8080"}, {"Sec-Fetch-Site": "same-origin"}]
)
def test_the_page_and_programs_may_search(client, headers) -> None:
    assert client.post("/search", data={"text": "soup"}, headers=headers).status_code == 200


def test_the_public_address_counts_as_ones_own(proxied) -> None:
    sent = {"Host": "recipes.example", "Origin": "https://recipes.example"}
    assert proxied.post("/search", data={"text": "soup"}, headers=sent).status_code == 200
    elsewhere = {"Host": "recipes.example", "Origin": "http://recipes.example.evil"}
    assert proxied.post("/search", data={"text": "soup"}, headers=elsewhere).status_code == 403


@pytest.mark.parametrize(
    "headers",
    [{}, {"Authorization": TOKEN}, {"Authorization": "Bearer parsley"}, {"Authorization": "Bearer pärsley"}],
)
def test_without_the_token_nothing_is_written(guarded, error_of, headers) -> None:
    encoded = {name: value.encode() for name, value in headers.items()}
    for send in (
        lambda: guarded.post("/import", files={"files": ("a.html", b"x")}, headers=encoded),
        lambda: guarded.delete("/recipes/x", headers=encoded),
        lambda: guarded.post("/feedback", json={}, headers=encoded),
        lambda: guarded.get("/feedback", headers=encoded),
    ):
        answer = send()
        assert (answer.status_code, error_of(answer)) == (401, "token_needed")
        assert answer.headers["www-authenticate"] == "Bearer"
    assert guarded.get("/search", params={"text": "soup"}).status_code == 200
    assert guarded.get("/health").json()["token_required"] is True


def test_with_the_token_it_is_let_through(guarded, error_of) -> None:
    answer = guarded.delete("/recipes/no-such-recipe", headers=BEARER)
    assert (answer.status_code, error_of(answer)) == (404, "not_found")


def test_where_others_can_reach_it_nothing_is_written_without_a_token(serve, toy_index, error_of) -> None:
    for open_ in ({"loopback": False}, {"public_url": "https://recipes.example"}):
        answer = serve(toy_index, **open_).delete("/recipes/x")
        assert (answer.status_code, error_of(answer)) == (403, "forbidden")


@pytest.mark.parametrize("header", ["X-Forwarded-For", "Forwarded", "Via"])
def test_what_a_proxy_passes_on_is_not_of_this_machine(client, error_of, header) -> None:
    answer = client.delete("/recipes/x", headers={header: "1.1 proxy"})
    assert (answer.status_code, error_of(answer)) == (403, "forbidden")
    assert client.delete("/recipes/x").status_code == 404


def test_read_only_means_read_only(serve, toy_index, error_of) -> None:
    client = serve(toy_index, read_only=True, token=TOKEN)
    assert client.get("/health").json()["writable"] is False
    answer = client.delete("/recipes/x", headers=BEARER)
    assert (answer.status_code, error_of(answer)) == (403, "read_only")


def test_a_weak_token_and_an_odd_address_are_refused(tmp_path) -> None:
    with pytest.raises(UsageError, match="shorter than 8"):
        Settings(tmp_path, token="secret")
    for odd in ("recipes.example", "ftp://recipes.example", "https://recipes.example/path"):
        with pytest.raises(UsageError, match="scheme and host only"):
            Settings(tmp_path, public_url=odd)


@pytest.fixture(scope="module")
def narrow(serve, toy_index):
    """A server that takes little."""
    return serve(toy_index, limits=Limits(photo=1000, upload=3000, body=500))


def test_what_is_too_large_is_refused(narrow, error_of) -> None:
    large = b"x" * 70_000
    for send in (
        lambda: narrow.post("/search", files={"photo": large}),
        lambda: narrow.post("/explain", files={"photo": large}, data={"recipe": "x"}),
        lambda: narrow.post("/import", files={"files": ("a", large)}),
        lambda: narrow.post("/feedback", content=large, headers={"Content-Type": "application/json"}),
        lambda: narrow.post("/search", files={"photo": large[:1001]}),
    ):
        answer = send()
        assert (answer.status_code, error_of(answer)) == (413, "too_large")


def test_a_body_that_does_not_say_how_long_it_is_is_counted(narrow, error_of) -> None:
    def stream():
        yield b'--x\r\nContent-Disposition: form-data; name="photo"; filename="a"\r\n\r\n'
        for _ in range(200):
            yield b"x" * 1000

    kind = {"Content-Type": "multipart/form-data; boundary=x"}
    answer = narrow.post("/search", content=stream(), headers=kind)
    assert (answer.status_code, error_of(answer)) == (413, "too_large")


def test_browsers_are_told_to_trust_nothing_else(client) -> None:
    for path in ("/health", "/nothing", "/search"):
        headers = client.get(path).headers
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert "http" not in policy
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cross-origin-resource-policy"] == "same-origin"
        assert "access-control-allow-origin" not in headers


@pytest.mark.parametrize(
    "send",
    [
        lambda client: client.post("/search", content=b"x", headers={"Content-Type": "multipart/form-data"}),
        lambda client: client.post(
            "/search", content=b"--x", headers={"Content-Type": "multipart/form-data; boundary=y"}
        ),
        lambda client: client.post("/feedback", content=b"{", headers={"Content-Type": "application/json"}),
        lambda client: client.put("/search"),
        lambda client: client.post("/import", data={"files": "text"}),
        lambda client: client.post("/search", content=b"[]", headers={"Content-Length": "none"}),
    ],
)
def test_broken_requests_are_the_fault_of_who_sent_them(client, error_of, send) -> None:
    answer = send(client)
    assert 400 <= answer.status_code < 500
    assert error_of(answer)
