"""The learning rate too small, right and too large: the loss over the epochs, all else equal."""

import drawing
import numpy as np

import fastbp as fb
from fastbp.datasets import load_digits

EPOCHS = 60
RATES = {0.02: "too small", 3.0: "right", 200.0: "too large"}


def losses(rate, x, y):
    """Return the loss of every epoch, each one step down the gradient over all rows."""
    net = fb.Network(64, [fb.Dense(32, "tanh"), fb.Dense(10, "softmax")], seed=0)
    trainer = fb.Trainer(net, "cross_entropy", fb.SGD(rate), batch_size=None)
    return np.array(trainer.fit(x, y, epochs=EPOCHS)["loss"])


def main():
    """Train the same network at three rates and draw the losses."""
    folder = drawing.out_folder(__doc__)
    x, y = load_digits()
    x -= x.mean(axis=0)
    curves = {rate: losses(rate, x, y) for rate in RATES}
    for rate, curve in curves.items():
        print(f"rate {rate:<5} {RATES[rate]:<10} loss {curve[0]:.3f} -> {curve[-1]:.3f}")
    small, right, large = curves.values()
    # Too small goes down all the time and has hardly begun; too large climbs above its start.
    assert (np.diff(small) < 0).all()
    assert small[-1] > 0.5 * small[0]
    assert right[-1] < 0.1 * right[0]
    assert large.max() > 10 * large[0]
    assert large[-1] > 3 * right[-1]

    figure, (ax,) = drawing.panels()
    colours = (drawing.BLUE, drawing.GREEN, drawing.RED)
    for (rate, curve), colour in zip(curves.items(), colours, strict=True):
        label = f"{RATES[rate]}: {rate:g}"
        ax.plot(range(1, EPOCHS + 1), curve, color=colour, label=label)
    ax.set(xlabel="epoch", ylabel="cross-entropy", yscale="log", title="one network, three rates")
    ax.legend()
    ax.grid(alpha=0.3)
    drawing.save(figure, folder, "learning_rate.png")


if __name__ == "__main__":
    main()
