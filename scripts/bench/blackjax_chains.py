"""Kernels of blackjax, jitted and vmapped, with a common signature; imported only if blackjax is installed."""

from collections.abc import Callable
from typing import Any

import blackjax  # pyright: ignore[reportMissingImports]
import jax  # pyright: ignore[reportMissingImports]
import jax.numpy as jnp  # pyright: ignore[reportMissingImports]

# Maps (key, starts) to draws (chains, draws, size) and the number of gradients of each chain.
Chains = Callable[[Any, Any], tuple[Any, Any]]


def chains(algorithm: Any, gradients: Callable[[Any], Any], draws: int, keep: bool) -> Chains:
    """Compile `draws` transitions of every chain into one function.

    gradients: maps the info of a step to its number of gradients. keep: return all draws, or only the last.
    """

    def one(key: Any, start: Any) -> tuple[Any, Any]:
        def step(state: Any, key: Any) -> tuple[Any, Any]:
            state, info = algorithm.step(key, state)
            return state, (state.position if keep else 0.0, gradients(info))

        last, (kept, spent) = jax.lax.scan(step, algorithm.init(start), jax.random.split(key, draws))
        return (kept if keep else last.position), spent.sum()

    return jax.jit(lambda key, starts: jax.vmap(one)(jax.random.split(key, len(starts)), starts))


def mala(log_density: Callable[[Any], Any], step_size: float, draws: int, keep: bool = False) -> Chains:
    return chains(blackjax.mala(log_density, step_size), lambda info: jnp.ones_like(info.acceptance_rate), draws, keep)


def hmc(
    log_density: Callable[[Any], Any], step_size: float, mass: Any, leapfrog: int, draws: int, keep: bool = False
) -> Chains:
    """Compile the kernel; mass: diagonal of the inverse mass matrix."""
    algorithm = blackjax.hmc(log_density, step_size, mass, leapfrog)
    return chains(algorithm, lambda info: leapfrog * jnp.ones_like(info.acceptance_rate), draws, keep)


def nuts(log_density: Callable[[Any], Any], step_size: float, mass: Any, draws: int, keep: bool = False) -> Chains:
    """Compile the kernel; mass: diagonal of the inverse mass matrix."""
    algorithm = blackjax.nuts(log_density, step_size, mass)
    return chains(algorithm, lambda info: info.num_integration_steps, draws, keep)


def adapted(log_density: Callable[[Any], Any], start: Any, steps: int, seed: int) -> tuple[float, Any]:
    """Return step size and inverse mass matrix after the warm-up of blackjax on one chain."""
    warm_up = blackjax.window_adaptation(blackjax.nuts, log_density)
    result, _ = warm_up.run(jax.random.key(seed), start, num_steps=steps)
    return float(result.parameters["step_size"]), result.parameters["inverse_mass_matrix"]


def adapted_hmc(
    log_density: Callable[[Any], Any], start: Any, steps: int, seed: int, leapfrog: int
) -> tuple[float, Any]:
    """Return the same for HMC trajectories of `leapfrog` steps."""
    warm_up = blackjax.window_adaptation(blackjax.hmc, log_density, num_integration_steps=leapfrog)
    result, _ = warm_up.run(jax.random.key(seed), start, num_steps=steps)
    return float(result.parameters["step_size"]), result.parameters["inverse_mass_matrix"]


def gaussian(precision: Any) -> Callable[[Any], Any]:
    """Return the log density; precision: a diagonal, or a matrix."""
    P = jnp.asarray(precision)
    return lambda x: -0.5 * jnp.dot(x, P * x if P.ndim == 1 else P @ x)


def funnel(spread: float) -> Callable[[Any], Any]:
    def log_density(x: Any) -> Any:
        first, rest = x[0], x[1:]
        return -0.5 * ((first / spread) ** 2 + (rest**2).sum() * jnp.exp(-first) + len(rest) * first)

    return log_density


def muller_brown(scale: float, heights: Any, curvatures: Any, centres: Any) -> Callable[[Any], Any]:
    A, abc, at = jnp.asarray(heights), jnp.asarray(curvatures), jnp.asarray(centres)

    def log_density(x: Any) -> Any:
        dx, dy = x[0] - at[:, 0], x[1] - at[:, 1]
        return -scale * (A * jnp.exp(abc[:, 0] * dx**2 + abc[:, 1] * dx * dy + abc[:, 2] * dy**2)).sum()

    return log_density


def mixture(means: Any, stds: Any, weights: Any) -> Callable[[Any], Any]:
    m, s, w = jnp.asarray(means), jnp.asarray(stds), jnp.asarray(weights)

    def log_density(x: Any) -> Any:
        log_normal = -0.5 * (((x - m) / s[:, None]) ** 2).sum(1) - len(x) * (jnp.log(s) + 0.5 * jnp.log(2 * jnp.pi))
        return jax.scipy.special.logsumexp(log_normal + jnp.log(w))

    return log_density


def phi4(mass_squared: float, coupling: float) -> Callable[[Any], Any]:
    def log_density(x: Any) -> Any:
        local = 0.5 * mass_squared * x**2 + 0.25 * coupling * x**4
        return -(0.5 * (jnp.roll(x, -1) - x) ** 2 + local).sum()

    return log_density
