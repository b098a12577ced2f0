"""The job API as a user meets it: every refusal in one sentence, silence waited out, a running job found again."""

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import ray

import meqc_marl.cluster.client as module
from meqc_marl.cluster.client import JobClient
from meqc_marl.errors import InputError
from tests.sentences import is_one_sentence

GOOD = {"/api/version": {"ray_version": ray.__version__}, "/api/jobs/": []}


@pytest.fixture
def server(monkeypatch):
    """A dashboard that answers from a table: a body, a status, or a list of both in turn; the client has no token."""
    # A Ray of this process, from other tests, would have given it one.
    monkeypatch.setattr(module, "get_auth_headers_if_auth_enabled", lambda _: {})

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            answer = self.server.answers.get(self.path, 404)
            if isinstance(answer, list) and answer and isinstance(answer[0], tuple):
                answer = (answer.pop(0) if len(answer) > 1 else answer[0])[0]
            status, body = (answer, b"no") if isinstance(answer, int) else (200, answer)
            body = body if isinstance(body, bytes) else json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.answers = dict(GOOD)
    server.client = JobClient(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()


def refused(client):
    with pytest.raises(InputError) as told:
        client.check()
    assert is_one_sentence(str(told.value)), told.value
    return str(told.value)


def test_a_cluster_that_answers_is_fine(server):
    server.client.check()


@pytest.mark.parametrize(
    ("answers", "message"),
    [
        ({"/api/version": {"ray_version": "1.0"}}, f"runs Ray 1.0 and this is Ray {ray.__version__}"),
        ({"/api/version": b"<html>"}, "answers, but not as a Ray dashboard"),
        ({"/api/version": {}}, "answers, but not as a Ray dashboard"),
        ({"/api/version": 401}, "asks for a token; set RAY_AUTH_MODE=token"),
        ({"/api/jobs/": 403}, "asks for a token; set RAY_AUTH_MODE=token"),
        ({"/api/jobs/": 500}, "answers 500 to /api/jobs/: no"),
    ],
)
def test_refusals(server, answers, message):
    server.answers.update(answers)
    assert message in refused(server.client)


def test_a_wrong_token_is_told_from_none(server, monkeypatch):
    monkeypatch.setattr(module, "get_auth_headers_if_auth_enabled", lambda _: {"Authorization": "Bearer x"})
    server.answers["/api/version"] = 401
    assert "refuses the token; set RAY_AUTH_MODE=token" in refused(server.client)


def test_addresses():
    assert "address 'ray://x:1' is not allowed" in refused(JobClient("ray://x:1"))
    started = time.monotonic()
    assert "cannot be reached" in refused(JobClient("http://127.0.0.1:9"))
    assert time.monotonic() - started < 15


def test_the_job_of_a_storage_is_found_while_it_runs(server):
    def job(name, status, storage):
        metadata = {"storage": storage, "digest": "abc"}
        return {"submission_id": name, "status": status, "metadata": metadata}

    ended = [job("a", "SUCCEEDED", "s3://x"), job("b", "RUNNING", "s3://y"), {"status": "RUNNING", "metadata": None}]
    server.answers["/api/jobs/"] = ended
    assert server.client.running("s3://x", "abc") is None
    server.answers["/api/jobs/"] = [*ended, job("c", "PENDING", "s3://x")]
    assert server.client.running("s3://x", "abc") == "c"
    with pytest.raises(InputError, match="job c works on storage 's3://x' with other options") as told:
        server.client.running("s3://x", "def")
    assert is_one_sentence(str(told.value))


def test_a_resource_that_no_machine_has_is_told(server):
    def node(state, **resources):
        return {"state": state, "resources_total": resources}

    nodes = [node("ALIVE", CPU=2.0), node("ALIVE", CPU=2.0, driver=1.0), node("DEAD", gone=1.0)]
    server.answers["/api/v0/nodes?limit=10000"] = {"data": {"result": {"result": nodes}}}
    server.client.check_resource("driver")
    with pytest.raises(InputError, match=r"no machine of the cluster at .* has the resource 'gone'") as told:
        server.client.check_resource("gone")
    assert is_one_sentence(str(told.value))


def follow(server, statuses, logs):
    """Each poll takes the next answer, the last for ever; an integer is an HTTP error."""
    server.answers["/api/jobs/j"] = [(s if isinstance(s, int | dict) else {"status": s},) for s in statuses]
    server.answers["/api/jobs/j/logs"] = [({"logs": log},) for log in logs]
    return list(server.client.follow("j"))


def test_lines_come_once_and_whole(server, monkeypatch):
    monkeypatch.setattr(module, "_POLL_S", 0.0)
    statuses = ["RUNNING", "RUNNING", "RUNNING", "SUCCEEDED"]
    logs = ["one\ntw", "one\ntwo\n", "one\ntwo\n", "one\ntwo\nthree"]
    assert follow(server, statuses, logs) == ["one", "two", "three"]


def test_what_a_job_waits_for_is_told_once(server, monkeypatch):
    monkeypatch.setattr(module, "_POLL_S", 0.0)
    waits = {"status": "PENDING", "message": "waiting for\nresources"}
    assert follow(server, [waits, waits, "RUNNING", "SUCCEEDED"], ["", "", "", "one\n"]) == [
        "waiting: waiting for resources",
        "one",
    ]


def test_silence_is_waited_out(server, monkeypatch):
    monkeypatch.setattr(module, "_POLL_S", 0.0)
    assert follow(server, ["RUNNING", 500, 500, "FAILED"], ["one\n", "one\nerror: x.\n"]) == ["one", "error: x."]
    monkeypatch.setattr(module, "_LOST_S", -1.0)
    with pytest.raises(InputError, match="answers 500"):
        follow(server, [500], [""])
