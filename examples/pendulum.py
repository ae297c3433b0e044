"""A pendulum learns to swing up and to stand: DDPG, an actor and a critic with target networks."""

import argparse
import time
from pathlib import Path

import numpy as np

import fastbp as fb

N_PENDULUMS, STEPS, EPISODES, UPDATES = 16, 200, 20, 2  # updates after each step of all pendulums
DISCOUNT, TAU, BATCH, NOISE = 0.98, 0.01, 128, 0.3
GOOD = -300  # of a pendulum that is not driven, or at random, it is about -1200


class Pendulums:
    """Pendulums side by side: g = 10, length and mass 1, a torque of at most 2, steps of 0.05 s.

    A state is (angle from the top, angular velocity); the reward of a step is
    -(angle^2 + 0.1 velocity^2 + 0.001 torque^2), so 0 is the best that there is.
    """

    def __init__(self, n, rng):
        self.angle = rng.uniform(-np.pi, np.pi, n)
        self.velocity = rng.uniform(-1, 1, n)

    def observe(self):
        """Return cosine and sine of the angle, and the scaled velocity, float32 [n, 3]."""
        seen = np.cos(self.angle), np.sin(self.angle), self.velocity / 8
        return np.stack(seen, axis=1).astype(np.float32)

    def step(self, action):
        """Apply actions [n] from -1 to 1 for a step; return the rewards [n]."""
        torque = 2 * np.clip(action, -1, 1)
        angle = (self.angle + np.pi) % (2 * np.pi) - np.pi
        reward = -(angle**2 + 0.1 * self.velocity**2 + 0.001 * torque**2)
        self.velocity += (15 * np.sin(self.angle) + 3 * torque) * 0.05
        self.velocity = np.clip(self.velocity, -8, 8)
        self.angle = self.angle + self.velocity * 0.05
        return reward


class Agent:
    """An actor, action = actor(state), a critic, value = critic(state, action), and their twins.

    The twins are the target networks: they follow slowly, so that what the critic learns does not
    move under its feet.
    """

    def __init__(self, seed):
        self.actor = fb.Network(3, [*hidden(), fb.Dense(1, "tanh")], seed=seed)
        self.critic = fb.Network(4, [*hidden(), fb.Dense(1)], seed=seed + 1)
        self.slow_actor, self.slow_critic = self.actor.copy(), self.critic.copy()
        # The loss of the actor's trainer is not used: its gradients come from the critic.
        self.of_actor = fb.Trainer(self.actor, "mse", fb.Adam(1e-3), n_threads=1)
        self.of_critic = fb.Trainer(self.critic, "mse", fb.Adam(1e-3), n_threads=1)

    def learn(self, state, action, reward, after):
        """Do a step of the critic, one of the actor, and move the target networks."""
        future = self.slow_critic.predict(join(after, self.slow_actor.predict(after)))
        self.of_critic.step(join(state, action), reward + DISCOUNT * future)
        self.of_actor.apply_gradients(self.actor_gradients(state))
        self.slow_actor.lerp(self.actor, TAU)
        self.slow_critic.lerp(self.critic, TAU)

    def actor_gradients(self, state):
        """Return the gradients of -mean(critic(state, actor(state))) by the actor's weights."""
        pairs = join(state, self.actor.predict(state))
        by_value = np.full((len(state), 1), -1 / len(state), np.float32)
        by_action = self.critic.vjp(pairs, by_value)[:, 3:]
        return self.actor.gradients_from(state, by_action)


class Memory:
    """The last transitions, from which batches are drawn."""

    def __init__(self, size, rng):
        self.rng, self.n, self.size = rng, 0, size
        self.rows = np.empty((size, 8), np.float32)  # state, action, reward, state after

    def add(self, state, action, reward, after):
        """Put transitions in the place of the oldest ones."""
        places = (self.n + np.arange(len(state))) % self.size
        self.rows[places] = np.column_stack([state, action, reward, after])
        self.n += len(state)

    def batch(self):
        """Return states, actions, rewards and the states after, [BATCH, ...]."""
        rows = self.rows[self.rng.integers(0, min(self.n, self.size), BATCH)]
        return rows[:, :3], rows[:, 3:4], rows[:, 4:5], rows[:, 5:]


def hidden():
    """Return the hidden layers of a network."""
    return [fb.Dense(64, "relu"), fb.Dense(64, "relu")]


def join(state, action):
    """Return the rows of the critic."""
    return np.concatenate([state, action], axis=1)


def train(seed, episodes=EPISODES, progress=None):
    """Return the agent that has learned, and its mean return in each episode, noise and all."""
    rng = np.random.default_rng(seed)
    agent, memory, returns = Agent(seed), Memory(100_000, rng), []
    for episode in range(episodes):
        pendulums, total = Pendulums(N_PENDULUMS, rng), np.zeros(N_PENDULUMS)
        for _ in range(STEPS):
            state = pendulums.observe()
            action = agent.actor.predict(state) + NOISE * rng.standard_normal((len(state), 1))
            action = np.clip(action, -1, 1)
            reward = pendulums.step(action[:, 0])
            memory.add(state, action, reward / 10, pendulums.observe())
            total += reward
            for _ in range(UPDATES):
                agent.learn(*memory.batch())
        returns.append(total.mean())
        if progress is not None:
            progress(episode, returns[-1])
    return agent, returns


def evaluate(actor, n=100):
    """Return the mean return of n pendulums without noise."""
    pendulums, total = Pendulums(n, np.random.default_rng(12345)), 0.0
    for _ in range(STEPS):
        total += pendulums.step(actor.predict(pendulums.observe())[:, 0]).mean()
    return total


def draw(curves, folder):
    """Draw the learning curves of some seeds, if matplotlib is there."""
    try:
        import drawing
    except ImportError as error:
        print(f"no picture: {error}")
        return
    figure, (ax,) = drawing.panels()
    for seed, curve in curves.items():
        ax.plot(range(1, len(curve) + 1), curve, label=f"seed {seed}")
    ax.set(xlabel="episode", ylabel="mean return of 16 pendulums", title="a pendulum swings up")
    ax.xaxis.get_major_locator().set_params(integer=True)
    ax.legend()
    ax.grid(alpha=0.3)
    drawing.save(figure, folder, "pendulum.png")


def main():
    """Learn with some seeds, print the returns and draw them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--out", type=Path, default=Path(), help="folder of the picture")
    arguments = parser.parse_args()
    fb.set_num_threads(1)  # networks and batches as small as these gain nothing from more
    curves = {}
    for seed in arguments.seeds:
        begin = time.perf_counter()
        agent, curves[seed] = train(seed)
        mean_return, seconds = evaluate(agent.actor), time.perf_counter() - begin
        print(f"seed {seed}: mean return {mean_return:.0f} after {seconds:.0f} s")
        assert mean_return > GOOD
    draw(curves, arguments.out)


if __name__ == "__main__":
    main()
