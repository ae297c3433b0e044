"""A worker thread trains while the program goes on with the last finished state."""

import threading
import time

import numpy as np

import fastbp as fb


class Background:
    """A training in a thread of its own.

    The compiled part of `fit` holds no GIL, so the program runs beside it. A network in training
    has weights of several steps at once when another thread looks; so the callback copies it after
    each epoch, between two steps, and the program uses the last copy.

    Parameters
    ----------
    trainer : Trainer
    *arguments, **options
        Of `Trainer.fit`.

    Attributes
    ----------
    latest : (Network, int, float)
        The copy after the last finished epoch, the number of epochs, and the loss.
    """

    def __init__(self, trainer, *arguments, **options):
        self._trainer, self._arguments, self._options = trainer, arguments, options
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._error = self._history = None
        # Network and epoch, put there in one assignment: never a mixture of two.
        self.latest = trainer.network.copy(), 0, np.inf

    def start(self):
        """Begin; return the object itself."""
        self._thread.start()
        return self

    @property
    def running(self):
        """Whether the thread still trains."""
        return self._thread.is_alive()

    def stop(self, reason):
        """End the training after the step that is running."""
        self._trainer.stop(reason)

    def result(self, timeout=None):
        """Wait, and return the history; an error of the thread is raised here."""
        self._thread.join(timeout)
        if self._thread.is_alive():
            raise TimeoutError(f"the training is still running after {timeout} s")
        if self._error is not None:
            raise self._error
        return self._history

    def _run(self):
        try:
            self._history = self._trainer.fit(
                *self._arguments, callbacks=[self._publish], **self._options
            )
        except BaseException as error:
            self._error = error

    def _publish(self, trainer, history):
        self.latest = trainer.network.copy(), history.epochs, history["loss"][-1]


def main():
    """Control something while a network learns, and stop it when it is good enough."""
    rng = np.random.default_rng(0)
    x = rng.uniform(-2, 2, (4000, 2))
    y = np.sin(2 * x[:, :1]) * x[:, 1:]
    net = fb.Network(2, [fb.Dense(64, "tanh"), fb.Dense(64, "tanh"), fb.Dense(1)], seed=0)
    trainer = fb.Trainer(net, "mse", fb.Adam(0.003), batch_size=64, seed=0)
    training = Background(trainer, x, y, epochs=10**6).start()

    seen, point = 0, np.array([[0.7, 1.5]])
    while training.running:
        network, epoch, loss = training.latest
        if epoch > seen:
            print(
                f"epoch {epoch}: loss {loss:.5f}, f(0.7, 1.5) = {network.predict(point)[0, 0]:.4f}"
            )
            seen = epoch
        if loss < 1e-3:
            training.stop("good enough")
        time.sleep(0.05)  # where the program does its own work
    history = training.result()
    found, wanted = net.predict(point)[0, 0], np.sin(1.4) * 1.5
    print(f"stopped in epoch {history.epochs}: {history.stopped}; {found:.3f}, wanted {wanted:.3f}")
    assert history.stopped == "good enough"
    assert abs(found - wanted) < 0.15


if __name__ == "__main__":
    main()
