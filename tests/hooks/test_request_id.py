"""Every exchange has an id: in a header of the answer, in each line of the log, in the trace."""

from __future__ import annotations

from uuid import UUID

import pytest

from hooks.app import create_app
from hooks.settings import Settings
from tests.support.hospital import ADVISED, ORDER_SIGN, bundled

HEADER = "X-Request-Id"


@pytest.mark.parametrize("named", ["7f3b", "a" * 128, "00-4bf92f:35/77+b3~4da6.a3=ce_929-"])
def test_a_well_formed_id_of_the_caller_comes_back(named: str) -> None:
    http = create_app(Settings()).test_client()
    response = http.post(f"/cds-services/{ORDER_SIGN}", json=bundled(ADVISED), headers={HEADER: named})
    assert response.headers.getlist(HEADER) == [named]


@pytest.mark.parametrize("named", ["", "a" * 129, "two words", "Zoë", 'x"y', "<script>", "a\tb", "{}"])
def test_any_other_is_replaced_by_a_new_one(named: str) -> None:
    http = create_app(Settings()).test_client()
    response = http.get("/healthz", headers={HEADER: named})
    (given,) = response.headers.getlist(HEADER)
    assert str(UUID(given)) == given


def test_each_exchange_has_its_own() -> None:
    http = create_app(Settings()).test_client()
    assert len({http.get("/healthz").headers[HEADER] for _ in range(5)}) == 5


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/cds-services"),
        ("POST", f"/cds-services/{ORDER_SIGN}"),
        ("PUT", f"/cds-services/{ORDER_SIGN}"),
        ("POST", f"/cds-services/{ORDER_SIGN}/feedback"),
        ("OPTIONS", f"/cds-services/{ORDER_SIGN}"),
        ("GET", "/readyz"),
        ("GET", "/metrics"),
        ("GET", "/nowhere"),
    ],
)
def test_every_answer_has_one_errors_too(method: str, path: str) -> None:
    response = (
        create_app(Settings()).test_client().open(path, method=method, data="x", headers={HEADER: "of-the-caller"})
    )
    assert response.headers[HEADER] == "of-the-caller"


def test_a_fault_has_one_too(monkeypatch: pytest.MonkeyPatch) -> None:
    app = create_app(Settings())
    monkeypatch.setattr(app.extensions["service"], "discovery", lambda _: 1 / 0)
    response = app.test_client().get("/cds-services", headers={HEADER: "of-the-caller"})
    assert (response.status_code, response.headers[HEADER]) == (500, "of-the-caller")


def test_a_page_of_another_origin_may_read_it() -> None:
    http = create_app(Settings()).test_client()
    response = http.get("/cds-services", headers={"Origin": "http://localhost:3000"})
    assert HEADER in response.headers["Access-Control-Expose-Headers"]
