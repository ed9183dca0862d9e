"""A token is good once: in one worker, in the workers of one machine, and on several machines."""

from __future__ import annotations

import os
import sqlite3
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from itertools import chain
from pathlib import Path
from socketserver import StreamRequestHandler, ThreadingTCPServer
from subprocess import PIPE, Popen
from threading import Event, Thread
from time import time
from urllib.parse import urlsplit
from uuid import uuid4

import pytest
from redis import Redis

from hooks.health import Health
from hooks.settings import SettingsError, Tokens
from hooks.used_tokens import UsedTokens, used_tokens

_ISSUER = "https://ehr.example"
_PART = "used tokens store"
_COUNTED = "tokens checked in memory only"
_REDIS = os.environ.get("TEST_REDIS_URL", "")
needs_redis = pytest.mark.skipif(not _REDIS, reason="TEST_REDIS_URL names no Redis server")

Open = Callable[[], UsedTokens]


@pytest.fixture(params=["memory", "file", pytest.param("redis", marks=needs_redis)])
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Open:
    """What makes a worker's used tokens; those of a file and of Redis are shared by all that it makes."""
    tokens = Tokens(redis_url=_REDIS if request.param == "redis" else None)
    folder = tmp_path / "not" / "there" / "yet" if request.param == "file" else None
    return lambda: used_tokens(tokens, folder, Health())


@pytest.fixture(params=["file", pytest.param("redis", marks=needs_redis)])
def shared(request: pytest.FixtureRequest, tmp_path: Path) -> Open:
    """As ``opened``, without the memory, which is nobody else's."""
    tokens = Tokens(redis_url=_REDIS if request.param == "redis" else None)
    return lambda: used_tokens(tokens, tmp_path if request.param == "file" else None, Health())


def _new_id() -> str:
    return str(uuid4())


def test_an_id_is_new_once_and_for_its_issuer_only(opened: Open) -> None:
    used, one, until = opened(), _new_id(), time() + 300

    assert used.is_first_use(_ISSUER, one, until)
    assert not used.is_first_use(_ISSUER, one, until)
    assert not used.is_first_use(_ISSUER, one, until + 100)
    assert used.is_first_use("https://other.example", one, until)
    assert used.is_first_use(_ISSUER, one + " ", until)
    assert used.is_first_use(_ISSUER + one[:1], one[1:], until)


def test_any_text_may_be_an_id(opened: Open) -> None:
    used, until = opened(), time() + 300

    for one in ("", "\n", "\ud800", "'; DROP TABLE used_tokens; --", "é" * 500):
        assert used.is_first_use(_ISSUER + _new_id(), one, until)


def test_of_many_requests_at_once_exactly_one_is_the_first(opened: Open) -> None:
    used, ids, until = opened(), [_new_id() for _ in range(20)], time() + 300

    with ThreadPoolExecutor(8) as pool:
        answers = pool.map(lambda one: (one, used.is_first_use(_ISSUER, one, until)), ids * 8)
        firsts = Counter(one for one, is_first in answers if is_first)

    assert firsts == dict.fromkeys(ids, 1)


def test_workers_share_what_was_used(shared: Open) -> None:
    first, second, one, until = shared(), shared(), _new_id(), time() + 300

    assert first.is_first_use(_ISSUER, one, until)
    assert not second.is_first_use(_ISSUER, one, until)
    assert not shared().is_first_use(_ISSUER, one, until)


def test_of_many_requests_to_several_workers_exactly_one_is_the_first(shared: Open) -> None:
    workers, ids, until = [shared() for _ in range(4)], [_new_id() for _ in range(20)], time() + 300

    with ThreadPoolExecutor(4) as pool:
        won = pool.map(lambda worker: [one for one in ids if worker.is_first_use(_ISSUER, one, until)], workers)

    assert Counter(chain.from_iterable(won)) == dict.fromkeys(ids, 1)


_PROCESS = """
import sys
from pathlib import Path
from hooks.health import Health
from hooks.settings import Tokens
from hooks.used_tokens import used_tokens

health = Health()
used = used_tokens(Tokens(), Path(sys.argv[1]), health)
print("ready", flush=True)
sys.stdin.readline()
won = [str(number) for number in range(40) if used.is_first_use("https://ehr.example", str(number), 4e9)]
print(*won, *health.degraded.values())
"""


def test_of_several_processes_that_share_a_file_exactly_one_is_the_first(tmp_path: Path) -> None:
    command, health = [sys.executable, "-c", _PROCESS, str(tmp_path)], Health()
    used = used_tokens(Tokens(), tmp_path, health)
    with ExitStack() as running:
        others = [running.enter_context(Popen(command, stdin=PIPE, stdout=PIPE, text=True)) for _ in range(2)]
        for other in others:
            assert other.stdout is not None
            assert other.stdout.readline() == "ready\n"
        for other in others:
            assert other.stdin is not None
            other.stdin.write("go\n")
            other.stdin.flush()
        won = [str(number) for number in range(40) if used.is_first_use(_ISSUER, str(number), 4e9)]
        won += health.degraded.values()
        won += chain.from_iterable(other.communicate()[0].split() for other in others)

    assert Counter(won) == {str(number): 1 for number in range(40)}


@needs_redis
def test_redis_goes_before_the_folder_and_forgets_by_itself(tmp_path: Path) -> None:
    one = _new_id()
    # A database of its own: tests that run beside this one put their tokens into the usual one.
    url = urlsplit(_REDIS)._replace(path="/9").geturl()
    with closing(Redis.from_url(url)) as redis:
        before = set(redis.scan_iter("lenalidomide-cds:used-token:*"))
        used_tokens(Tokens(redis_url=url), tmp_path, Health()).is_first_use(_ISSUER, one, time() + 300)
        (key,) = set(redis.scan_iter("lenalidomide-cds:used-token:*")) - before

        assert one.encode() not in key
        assert 300 < redis.ttl(key) <= 361
    assert list(tmp_path.iterdir()) == []


class Clock:
    def __init__(self) -> None:
        self.now = 1_750_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize("where", ["memory", "file"])
def test_an_id_is_remembered_for_longer_than_its_token_lives_and_not_for_ever(tmp_path: Path, where: str) -> None:
    clock = Clock()
    used = used_tokens(Tokens(), tmp_path if where == "file" else None, Health(), clock=clock)
    start = clock.now
    used.is_first_use(_ISSUER, "one", start + 360)

    asked = {}
    for later in (0, 359, 360, 419, 421):
        clock.now = start + later
        used.is_first_use(_ISSUER, f"of another call at {later}", clock.now + 360)
        asked[later] = used.is_first_use(_ISSUER, "one", start + 360)

    assert asked == {0: False, 359: False, 360: False, 419: False, 421: True}


def test_the_file_and_the_memory_do_not_grow_for_ever(tmp_path: Path) -> None:
    clock = Clock()
    used = used_tokens(Tokens(), tmp_path, Health(), clock=clock)
    for number in range(200):
        clock.now += 30
        used.is_first_use(_ISSUER, str(number), clock.now + 300)

    with closing(sqlite3.connect(tmp_path / "used-tokens.sqlite")) as file:
        (kept,) = file.execute("SELECT count(*) FROM used_tokens").fetchone()
    assert 12 <= kept <= 16
    assert 12 <= len(used._memory._until) <= 16


def test_the_file_tells_nobody_whose_tokens_they_were(tmp_path: Path) -> None:
    used_tokens(Tokens(), tmp_path, Health()).is_first_use(_ISSUER, "token-of-a-visit", time() + 300)

    content = b"".join(file.read_bytes() for file in tmp_path.iterdir())
    assert content
    assert b"token-of-a-visit" not in content
    assert b"ehr.example" not in content


def test_a_file_that_another_process_blocks_leaves_the_memory_to_answer(tmp_path: Path) -> None:
    health = Health()
    used = used_tokens(Tokens(), tmp_path, health)
    used.is_first_use(_ISSUER, "before", 4e9)

    with closing(sqlite3.connect(tmp_path / "used-tokens.sqlite", isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        assert [used.is_first_use(_ISSUER, "one", 4e9) for _ in range(2)] == [True, False]
        assert "database is locked" in health.degraded[_PART]
        assert health.counts == {_COUNTED: 1}

    assert used.is_first_use(_ISSUER, "after", 4e9)
    assert health.degraded == {}
    assert not used_tokens(Tokens(), tmp_path, Health()).is_first_use(_ISSUER, "after", 4e9)


@pytest.mark.parametrize("damage", ["garbage", "a folder", "no right to write"])
def test_a_file_that_cannot_be_used_leaves_the_memory_to_answer(tmp_path: Path, damage: str) -> None:
    file, health = tmp_path / "used-tokens.sqlite", Health()
    if damage == "garbage":
        file.write_bytes(b"no database " * 500)
    elif damage == "a folder":
        file.mkdir()
    folder = tmp_path if damage != "no right to write" else Path("/proc/nowhere")
    used = used_tokens(Tokens(), folder, health)

    assert [used.is_first_use(_ISSUER, one, 4e9) for one in ("one", "two", "one")] == [True, True, False]
    assert "used-tokens.sqlite" in health.degraded[_PART]
    assert health.counts == {_COUNTED: 2}


class Server:
    """Stands where Redis should be; says ``answer`` to everything, or nothing at all while it is empty."""

    def __init__(self, answer: bytes) -> None:
        self.answer = answer
        self.connections = 0
        self.stopped = Event()
        outer = self

        class Handler(StreamRequestHandler):
            def handle(self) -> None:
                outer.connections += 1
                if not outer.answer:
                    outer.stopped.wait()
                while outer.answer and self.request.recv(4096):
                    self.wfile.write(outer.answer)

        self.tcp = ThreadingTCPServer(("127.0.0.1", 0), Handler)
        self.tcp.daemon_threads = True
        self.url = f"redis://visitor:hush-hush@127.0.0.1:{self.tcp.server_address[1]}/0"


@pytest.fixture
def redis_that_says() -> Iterator[Callable[[bytes], Server]]:
    servers = []

    def start(answer: bytes) -> Server:
        server = Server(answer)
        Thread(target=server.tcp.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        servers.append(server)
        return server

    yield start
    for server in servers:
        server.stopped.set()
        server.tcp.shutdown()
        server.tcp.server_close()


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"-ERR unknown command with args beginning with: `visitor` `hush-hush`\r\n",
        b"-WRONGPASS hush-hush\r\n",
        b"?\r\n",
    ],
    ids=["silent", "repeats what it was sent", "refuses the password", "no Redis"],
)
def test_a_redis_server_that_does_not_do_its_work_leaves_the_memory_to_answer_and_gives_no_secret_away(
    redis_that_says: Callable[[bytes], Server], answer: bytes
) -> None:
    health = Health()
    used = used_tokens(Tokens(redis_url=redis_that_says(answer).url), None, health)

    assert [used.is_first_use(_ISSUER, one, time() + 300) for one in ("one", "one", "two")] == [True, False, True]
    assert health.degraded[_PART].startswith("Redis: ")
    assert "hush" not in health.degraded[_PART]
    assert health.counts == {_COUNTED: 2}


def test_a_redis_server_that_is_not_there_is_left_alone_after_some_tries(
    redis_that_says: Callable[[bytes], Server],
) -> None:
    server, health = redis_that_says(b"-LOADING\r\n"), Health()
    used = used_tokens(Tokens(redis_url=server.url), None, health)

    assert all(used.is_first_use(_ISSUER, str(number), time() + 300) for number in range(30))
    assert server.connections == 5
    assert health.counts == {_COUNTED: 30}


def test_a_redis_server_that_is_back_is_asked_again_and_health_says_so(
    redis_that_says: Callable[[bytes], Server],
) -> None:
    server, health = redis_that_says(b"-LOADING\r\n"), Health()
    used = used_tokens(Tokens(redis_url=server.url), None, health)
    assert used.is_first_use(_ISSUER, "one", time() + 300)
    assert list(health.degraded) == [_PART]

    server.answer = b"+OK\r\n"
    assert used.is_first_use(_ISSUER, "two", time() + 300)
    assert health.degraded == {}

    server.answer = b"$-1\r\n"
    assert not used.is_first_use(_ISSUER, "used elsewhere", time() + 300)
    assert health.counts == {_COUNTED: 1}


@pytest.mark.parametrize("url", ["redis://:hush/hush@redis", "http://redis", "redis", "redis://redis?hush=1"])
def test_a_redis_url_that_cannot_be_read_stops_the_start_and_is_not_repeated(url: str) -> None:
    with pytest.raises(SettingsError, match="CDS_REDIS_URL") as error:
        used_tokens(Tokens(redis_url=url), None, Health())

    assert "hush" not in str(error.value)
