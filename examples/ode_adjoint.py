"""A network stands in for a vector field in SciPy's ODE solver; the adjoint gives the gradients."""

import numpy as np
from scipy.integrate import solve_ivp
from scipy.optimize import minimize

import fastbp as fb

END = 3.0
TRUE_START = np.array([4.0, 2.0])  # which is to be found from the state at the end
OPTIONS = {"method": "DOP853", "rtol": 1e-10, "atol": 1e-12, "dense_output": True}
NODES = np.polynomial.legendre.leggauss(6)  # of a quadrature over each step of the solver


def lotka_volterra(z):
    """Return dz/dt of prey and predators, [n, 2]: what a slow simulator would compute."""
    prey, predators = z.T
    return np.stack(
        [1.1 * prey - 0.4 * prey * predators, 0.1 * prey * predators - 0.4 * predators], 1
    )


def surrogate(epochs=150):
    """Return a network that has learned the field from 2,000 random states, in float64."""
    rng = np.random.default_rng(0)
    z = rng.uniform(0.2, 10, (2000, 2))
    net = fb.Network(
        2,
        [fb.Dense(48, "tanh"), fb.Dense(48, "tanh"), fb.Dense(2)],
        dtype="float64",
        seed=0,
        preprocessing=fb.preprocess.Standardize().fit(z),
    )
    rate = fb.Cosine(0.005, epochs, per="epoch")
    fb.Trainer(net, "mse", fb.Adam(rate), batch_size=64, seed=0).fit(
        z, lotka_volterra(z), epochs=epochs
    )
    return net


def forward(field, start):
    """Return the solution of dz/dt = field(z) from `start` on."""
    return solve_ivp(lambda t, z: field(z[None])[0], (0, END), start, **OPTIONS)


def cost(solution, goal):
    """Return L = |z(END) - goal|^2 / 2."""
    return 0.5 * float(((solution.y[:, -1] - goal) ** 2).sum())


def gradients(net, start, goal):
    """Return L, dL/dz(0), and dL/dW as `net.gradients` gives it, by the adjoint a = dL/dz(t).

    It begins with a(END) = dL/dz(END) and goes back in time: da/dt = -a df/dz, one `vjp` for each
    stage of the solver. The weights have dL/dW = the integral of a df/dW over time: one call of
    `gradients_from`, whose sum over rows is the quadrature.
    """
    solution = forward(net.predict, start)
    back = solve_ivp(
        lambda t, a: -net.vjp(solution.sol(t)[None], a[None])[0],
        (END, 0),
        solution.y[:, -1] - goal,
        **OPTIONS,
    )
    t, weights = quadrature(back.t[::-1])
    by_weights = net.gradients_from(solution.sol(t).T, (back.sol(t) * weights).T)
    return cost(solution, goal), back.y[:, -1], by_weights


def quadrature(times):
    """Return nodes and weights of Gauss and Legendre in each interval between two times."""
    points, weights = NODES
    half = np.diff(times)[:, None] / 2
    middle = times[:-1, None] + half
    return (middle + half * points).ravel(), (half * weights).ravel()


def difference(net, start, goal, by, size=1e-5):
    """Return the central difference of L along a change of the start, or of all weights."""
    costs = []
    for sign in (1, -1):
        moved, other = start, net
        if len(by) == len(start):
            moved = start + sign * size * by
        else:
            other = net.copy()
            other.parameters = net.parameters + sign * size * by
        costs.append(cost(forward(other.predict, moved), goal))
    return (costs[0] - costs[1]) / (2 * size)


def errors(net, start, goal):
    """Return how far gradients along some directions are from central differences, relatively."""
    _, by_start, by_weights = gradients(net, start, goal)
    flat = np.concatenate([array.ravel() for pair in by_weights for array in pair])
    rng, found = np.random.default_rng(1), {}
    for i, direction in enumerate(np.eye(2)):
        found[f"z{i}(0)"] = by_start @ direction, difference(net, start, goal, direction)
    for i in range(3):
        direction = rng.standard_normal(len(flat)) / np.sqrt(len(flat))
        found[f"weights, direction {i}"] = flat @ direction, difference(net, start, goal, direction)
    return {name: (a, abs(a - b) / abs(b)) for name, (a, b) in found.items()}


def main():
    """Check the gradients, then find the state that has led to the one of today."""
    fb.set_num_threads(1)  # one row at a time
    goal = forward(lotka_volterra, TRUE_START).y[:, -1]
    net, guess = surrogate(), np.array([6.0, 3.0])
    for name, (gradient, error) in errors(net, guess, goal).items():
        print(f"dL/d({name}) = {gradient:.8f}, off central differences by {error:.0e}")
        assert error < 1e-6

    found = minimize(lambda z: gradients(net, z, goal)[:2], guess, jac=True, method="BFGS")
    print(f"to {goal.round(3)} leads {found.x.round(3)}, found by {found.nfev} solutions there and")
    print(f"back; the true equations come from {TRUE_START}")
    assert np.abs(found.x - TRUE_START).max() < 0.1


if __name__ == "__main__":
    main()
