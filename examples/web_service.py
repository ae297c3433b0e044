"""A web service of the standard library that answers with a model file, whenever it is replaced.

python examples/web_service.py net.safetensors --port 8000
curl -d '{"rows": [[0.1, 0.2]]}' http://127.0.0.1:8000/predict
"""

import argparse
import hashlib
import json
import logging
import os
import pickle
import re
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np

import fastbp as fb
from fastbp.errors import FastbpError, InputError

MOST_BYTES = 1 << 22  # of a request
SECONDS = 10  # for a client to send it
# A file that is not older may be replaced by one that has the same time: clocks of files tick.
TICK = 50_000_000  # nanoseconds


class ModelFile:
    """The network in a file, read again when the file is another one.

    `Network.save` replaces a file whole, so what is read here is the old network or the new one. A
    request takes `current` once and works with that, whatever comes meanwhile; a network that
    nobody trains may predict in any number of threads.
    """

    def __init__(self, path):
        self.path, self._lock = Path(path), threading.Lock()
        self._seen = self._current = None
        self._read()

    def current(self):
        """Return the network, and a name that only it has."""
        try:
            if self._mark() != self._seen:
                with self._lock:
                    self._read()
        except (FastbpError, OSError) as error:  # taken away, or none of ours
            logging.warning("%s; the network before is used", error)
        return self._current

    def _read(self):
        mark = self._mark()
        if mark == self._seen:  # another thread was faster
            return
        # Of the file before it is read: one that is replaced meanwhile will be read again.
        _, written, _ = mark
        self._seen = mark if time.time_ns() - written > TICK else None
        network = fb.load(self.path)
        name = hashlib.sha256(pickle.dumps(network)).hexdigest()[:12]
        if self._current is None or name != self._current[1]:
            self._current = network, name
            logging.info("%s holds network %s", self.path, name)

    def _mark(self):
        found = os.stat(self.path)
        return found.st_ino, found.st_mtime_ns, found.st_size


class Handler(BaseHTTPRequestHandler):
    """POST /predict takes {"rows": [[...], ...]}, GET /health says which network there is."""

    protocol_version = "HTTP/1.1"  # connections stay open
    timeout = SECONDS
    server_version = "fastbp-example"

    def do_GET(self):
        """Answer to GET."""
        if self.path != "/health":
            self._refuse(404, "NotFound", f"got {self.path}, wanted /health or POST to /predict")
            return
        network, name = self.server.model.current()
        self._answer(200, {"model": name, "n_inputs": network.n_inputs})

    def do_POST(self):
        """Answer to POST."""
        body = self._body()
        if body is None:
            return
        if self.path != "/predict":
            self._refuse(404, "NotFound", f"got {self.path}, wanted /predict")
            return
        try:
            self._answer(200, self._predicted(body))
        except FastbpError as error:  # of the rows: its text says what was wrong
            self._refuse(400, type(error).__name__, str(error))

    def _predicted(self, body):
        try:
            asked = json.loads(body)
        except (ValueError, RecursionError) as error:
            raise InputError(f"body: got no JSON ({error}), wanted an object") from error
        if not isinstance(asked, dict) or set(asked) != {"rows"}:
            raise InputError('body: got other keys, wanted {"rows": [[...], ...]}')
        network, name = self.server.model.current()
        outputs = network.predict(asked["rows"])
        if not np.isfinite(outputs).all():
            raise InputError("rows: got numbers whose outputs are not finite, wanted smaller ones")
        answer = {"model": name, "outputs": outputs.tolist()}
        if network.classes is not None:
            answer["labels"] = network.predict_classes(asked["rows"]).tolist()
        return answer

    def _body(self):
        """Return the body of the request, or refuse it and return None."""
        length = self.headers.get("Content-Length", "")
        if not re.fullmatch("[0-9]{1,12}", length):
            self._refuse(411, "LengthRequired", "wanted a Content-Length")
        elif int(length) > MOST_BYTES:
            self._refuse(413, "TooLarge", f"got {length} bytes, wanted at most {MOST_BYTES}")
        else:
            return self.rfile.read(int(length))
        return None

    def _refuse(self, status, name, message):
        # A body that was not read would be taken for the next request.
        self.close_connection = status in (411, 413)
        self._answer(status, {"error": name, "message": message})

    def _answer(self, status, content):
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, form, *values):
        """Log a request."""
        logging.debug(form, *values)


class Service(ThreadingHTTPServer):
    """A thread for each connection; port 0 is any free one, see `server_address`."""

    daemon_threads = True
    request_queue_size = 64  # connections that wait

    def __init__(self, path, host="127.0.0.1", port=0):
        self.model = ModelFile(path)
        super().__init__((host, port), Handler)


def main():
    """Serve until Ctrl-C."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("model", help="a .safetensors file of Network.save")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8000)
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    fb.set_num_threads(1)  # requests have threads of their own
    try:
        service = Service(arguments.model, arguments.host, arguments.port)
    except (FastbpError, OSError) as error:
        sys.exit(f"error: {error}")
    with service:
        logging.info("listening on http://%s:%d", *service.server_address[:2])
        try:
            service.serve_forever()
        except KeyboardInterrupt:
            logging.info("done")


if __name__ == "__main__":
    main()
