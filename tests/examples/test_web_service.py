"""examples/web_service.py on loopback: a file that is replaced under requests, and bad requests."""

from __future__ import annotations

import http.client
import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from web_service import MOST_BYTES, Service

import fastbp as fb

N_OUTPUTS = 40


def network(value):
    """A network whose outputs are all `value`."""
    net = fb.Network(2, [fb.Dense(8, "relu"), fb.Dense(N_OUTPUTS)], seed=0)
    net.layers[1].weight[...], net.layers[1].bias[...] = 0, value
    return net


@pytest.fixture
def service(tmp_path):
    """A service of the network of value 1, on a port of its own."""
    network(1).save(tmp_path / "net.safetensors")
    with Service(tmp_path / "net.safetensors") as made:
        thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield made
        made.shutdown()
        thread.join()


class Client:
    """A connection that stays open."""

    def __init__(self, service):
        self._connection = http.client.HTTPConnection(*service.server_address[:2], timeout=30)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self._connection.close()

    def ask(self, body=None, path="/predict", headers=None, method="POST"):
        """Status and answer."""
        self._connection.request(method, path, body, headers or {})
        response = self._connection.getresponse()
        return response.status, json.loads(response.read())


@pytest.mark.skipif("sys.platform == 'win32'", reason="no file is replaced while it is read there")
def test_every_answer_is_of_one_network_while_the_file_is_replaced(service):
    path, body = service.model.path, json.dumps({"rows": [[0.5, -1]]})

    def ask():
        found = []
        with Client(service) as client:
            while not found or found[-1][2] < 11:
                status, answer = client.ask(body)
                (outputs,) = answer["outputs"]
                found.append((status, answer["model"], outputs[0], set(outputs)))
                assert len(found) < 10_000
        return found

    with ThreadPoolExecutor(4) as pool:
        clients = [pool.submit(ask) for _ in range(4)]
        for value in range(2, 12):
            network(value).save(path)
        found = [client.result(30) for client in clients]
    for answers in found:
        assert {status for status, *_ in answers} == {200}
        assert all(of_all == {value} for _, _, value, of_all in answers)  # wholly of one
        values = [value for _, _, value, _ in answers]
        assert values == sorted(values)  # the newer one comes later
    names = {name: value for answers in found for _, name, value, _ in answers}
    pairs = {(name, value) for answers in found for _, name, value, _ in answers}
    assert len(names) == len(set(names.values())) == len(pairs)  # one name, one network


def test_a_file_of_the_same_time_and_size_is_seen(service, monkeypatch):
    """As where the clock of files ticks slowly, and an inode is used again."""
    mark = 1, time.time_ns(), 100
    monkeypatch.setattr(service.model, "_mark", lambda: mark)
    for value in (2, 3):
        network(value).save(service.model.path)
        assert service.model.current()[0].predict([[0, 0]])[0, 0] == value


def test_another_preprocessing_is_another_network(service):
    net = fb.load(service.model.path)
    net.layers[1].weight[...] = 1
    for mean in (0, 5, -5):
        net.preprocessing = fb.preprocess.Affine([mean, mean], [1, 1])
        net.save(service.model.path)
        found, _ = service.model.current()
        assert found.predict([[3, 4]]).tolist() == net.predict([[3, 4]]).tolist()


def test_labels_and_health(service):
    net = fb.Network(2, [fb.Dense(2, "softmax")], seed=0)
    net.classes = ["low", "high"]
    net.save(service.model.path)
    rows = [[1.0, 2.0], [-3.0, 0.5]]
    with Client(service) as client:
        status, answer = client.ask(json.dumps({"rows": rows}))
        assert status == 200
        assert answer["labels"] == net.predict_classes(rows).tolist()
        assert answer["outputs"] == net.predict(rows).tolist()
        assert client.ask(path="/health", method="GET") == (
            200,
            {"model": answer["model"], "n_inputs": 2},
        )


@pytest.mark.parametrize(
    ("body", "status", "error", "message"),
    [
        ("{", 400, "InputError", "body: got no JSON"),
        ("[" * 100_000, 400, "InputError", "body: got no JSON"),
        ("1" * 9000, 400, "InputError", "body"),
        ("[]", 400, "InputError", 'wanted {"rows"'),
        ('{"rows": [[1, 2]], "x": 1}', 400, "InputError", 'wanted {"rows"'),
        ('{"rows": [[1, 2, 3]]}', 400, "ShapeError", "(1, 3)"),
        ('{"rows": [[1, 2], [3]]}', 400, None, "x: got"),
        ('{"rows": [[1, "a"]]}', 400, None, "x: got"),
        ('{"rows": [[1, NaN]]}', 400, "InputError", "x: got"),
        ('{"rows": [[1, 1e999]]}', 400, "InputError", "x: got"),
        ('{"rows": null}', 400, None, "x: got"),
        ('{"rows": {"a": 1}}', 400, None, "x"),
    ],
)
def test_bad_requests_are_named_and_the_connection_goes_on(service, body, status, error, message):
    with Client(service) as client:
        found, answer = client.ask(body)
        assert found == status
        assert set(answer) == {"error", "message"}
        assert error in (None, answer["error"])
        assert getattr(fb.errors, answer["error"])
        assert message in answer["message"]
        assert client.ask('{"rows": [[1, 2]]}')[0] == 200


def test_outputs_that_are_no_numbers_of_json(service):
    net = network(1)
    net.layers[1].weight[...] = 1e38
    net.save(service.model.path)
    with Client(service) as client:
        status, answer = client.ask('{"rows": [[1e30, 1e30], [-1e30, -1e30], [1e30, -1e30]]}')
        assert (status, answer["error"]) == (400, "InputError")
        assert "not finite" in answer["message"]


@pytest.mark.parametrize(
    ("options", "status", "error"),
    [
        ({"path": "/other", "body": "{}"}, 404, "NotFound"),
        ({"path": "/other", "method": "GET"}, 404, "NotFound"),
        ({"headers": {"Content-Length": str(MOST_BYTES + 1)}}, 413, "TooLarge"),
        ({"headers": {"Content-Length": "9" * 5000}}, 411, "LengthRequired"),
        ({"headers": {"Content-Length": "-1"}}, 411, "LengthRequired"),
    ],
)
def test_requests_that_are_none(service, options, status, error):
    with Client(service) as client:
        found, answer = client.ask(**options)
        assert (found, answer["error"]) == (status, error)
    with Client(service) as client:
        assert client.ask('{"rows": [[1, 2]]}')[0] == 200


def test_a_bad_file_or_none_leaves_the_network_before(service, caplog):
    path = service.model.path
    content, (_, name) = path.read_bytes(), service.model.current()
    with Client(service) as client:
        for spoil in (
            lambda: path.write_bytes(content[:-1] + b"x"),
            lambda: path.write_text("no model"),
            path.unlink,
        ):
            spoil()
            for _ in range(2):
                status, answer = client.ask('{"rows": [[1, 2]]}')
                assert (status, answer["outputs"][0][0], answer["model"]) == (200, 1, name)
        assert "the network before is used" in caplog.text
        network(2).save(path)
        assert client.ask('{"rows": [[1, 2]]}')[1]["outputs"][0][0] == 2


def test_no_file_no_service(tmp_path):
    with pytest.raises(FileNotFoundError):
        Service(tmp_path / "none")
