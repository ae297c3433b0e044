"""examples/pendulum.py: equations, the actor's gradient, the same seed.

That it learns to swing up is asserted by the script, which repo/test_examples.py runs.
"""

from __future__ import annotations

import numpy as np
import pendulum
import pytest


@pytest.fixture
def few_steps(monkeypatch):
    monkeypatch.setattr(pendulum, "STEPS", 12)
    monkeypatch.setattr(pendulum, "BATCH", 16)


def test_a_pendulum_moves_as_by_hand():
    """sin(pi/2) = 1: 15 + 3 * 2 = 21 a second squared, 1.05 in a step, and 0.0525 further."""
    pendulums = pendulum.Pendulums(3, np.random.default_rng(0))
    pendulums.angle = np.array([np.pi / 2, 0.0, np.pi])
    pendulums.velocity = np.array([0.0, 0.0, -1.0])
    seen = pendulums.observe()
    np.testing.assert_allclose(seen, [[0, 1, 0], [1, 0, 0], [-1, 0, -1 / 8]], atol=1e-7)
    reward = pendulums.step(np.array([3.0, 0, 0]))  # the torque is 2 at most
    wanted = [-((np.pi / 2) ** 2) - 0.004, 0, -(np.pi**2) - 0.1]
    np.testing.assert_allclose(reward, wanted)
    np.testing.assert_allclose(pendulums.velocity, [1.05, 0, -1], atol=1e-12)
    np.testing.assert_allclose(pendulums.angle, [np.pi / 2 + 0.0525, 0, np.pi - 0.05], atol=1e-12)


def test_the_gradient_of_the_actor_is_that_of_differences():
    agent, rng = pendulum.Agent(3), np.random.default_rng(0)
    agent.actor, agent.critic = agent.actor.copy("float64"), agent.critic.copy("float64")
    state = rng.uniform(-1, 1, (9, 3))

    def loss(parameters):
        actor = agent.actor.copy()
        actor.parameters = parameters
        return -agent.critic.predict(pendulum.join(state, actor.predict(state))).mean()

    found = np.concatenate([a.ravel() for pair in agent.actor_gradients(state) for a in pair])
    for _ in range(3):
        by, before = rng.standard_normal(len(found)), agent.actor.parameters
        wanted = (loss(before + 1e-6 * by) - loss(before - 1e-6 * by)) / 2e-6
        assert found @ by == pytest.approx(wanted, rel=1e-5, abs=1e-7)


def test_memory_keeps_the_last():
    memory = pendulum.Memory(5, np.random.default_rng(0))
    for i in range(4):
        rows = np.full((2, 3), float(i))
        memory.add(rows, rows[:, 0], rows[:, 0], rows)
    assert sorted(memory.rows[:, 0].tolist()) == [1, 2, 2, 3, 3]


def test_the_same_seed_learns_the_same(few_steps):
    (one, curve), (other, again), (_, different) = (
        pendulum.train(seed, episodes=2) for seed in (4, 4, 5)
    )
    assert curve == again != different
    assert one.actor.parameters.tobytes() == other.actor.parameters.tobytes()
    start = pendulum.Agent(4)
    assert (one.actor.parameters != start.actor.parameters).any()
    distance = [np.abs(n.parameters - start.actor.parameters).max()
                for n in (one.slow_actor, one.actor)]  # fmt: skip
    assert 0 < distance[0] < distance[1]  # the target network follows
