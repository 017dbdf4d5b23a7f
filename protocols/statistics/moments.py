"""How amounts go together: correlations, variance inflation factors and principal components.

Over the holders of whom all the variables are known, a boolean counting as 0 or 1. Leaves the city: how many they are, and about the
centre of each range their totals, squares and products. One holder moves one number of each by at most h, h^2 / 2 and h_x h_y (h: half
of the range, in steps).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import combinations
from math import sqrt
from typing import Final, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from protocols.dictionary import Dictionary
from protocols.statistics import marks
from protocols.statistics.estimates import QUANTA, Estimates, Floats
from protocols.statistics.example import Example
from protocols.statistics.layout import LIMB_BITS, Amount, Blocks, Domain, amount, count
from protocols.statistics.mean import about_centre, clipping
from protocols.statistics.question import Fault, Names, Pair, Question, amount_fault, clip_faults
from protocols.statistics.rows import Answer, Row, Test, significant
from protocols.statistics.tables import count_rows

FINE_BITS: Final = (
    12  # half of a range is carried in at most 2^12 steps: products of two fit, and rounding is far below any noise
)
FEWEST, MOST = 2, 20
ROUNDED: Final = 2.0**-22  # of half a range, squared: what the rounding of squares alone may leave of a variance
SINGULAR: Final = 1e-9  # an eigenvalue that floats cannot tell from none


class Moments(Question):
    """`of`: integers, amounts of money and booleans. `clip`: public bounds of some of them, inside their ranges."""

    EXAMPLE = Example(
        {"id": "together", "kind": "moments", "of": ["income", "birth_year"]},
        holder={"income": "20000000", "birth_year": "2010"},
    )

    kind: Literal["moments"] = "moments"
    of: Names
    clip: Mapping[str, Pair] = Field(default_factory=dict)

    def variables(self) -> tuple[str, ...]:
        return self.of

    def faults(self, dictionary: Dictionary) -> Iterator[Fault]:
        if not FEWEST <= len(self.of) <= MOST:
            yield Fault("of", "MOMENTS_COUNT", {"count": len(self.of), "least": FEWEST, "most": MOST})
        found = [each for name in self.of for each in amount_fault("of", name, dictionary, beside=("boolean",))]
        yield from found
        for number, name in enumerate(self.of):
            if name in self.of[:number]:
                yield Fault("of", "STUDY_TWICE", {"name": name})
        yield from () if found else clip_faults(self.clip, self.of, dictionary)

    def _amount(self, name: str, domain: Domain) -> Amount:
        if domain.dictionary.type_of(name) == "boolean":
            return Amount(name, 0, 1, "1", among=self.of)
        return replace(domain.amount(name, *self.clip.get(name, ())), among=self.of)

    def blocks(self, domain: Domain) -> Blocks:
        amounts = {name: self._amount(name, domain) for name in self.of}
        found = {"holders": count([domain.known_together(self.of)])}
        for name, x in amounts.items():
            found[name] = amount(x)
            found |= {f"{name} {part}": each for part, each in domain.squares(x).items()}
            if name in self.clip:
                found[f"{name} clipped"] = count([domain.clipped(replace(x, among=(), shift=0))])
        for first, second in combinations(self.of, 2):
            parts = domain.products(amounts[first], amounts[second])
            found |= {f"{first} {second} {part}": each for part, each in parts.items()}
        return found

    def finalize(self, sums: Estimates, domain: Domain) -> Answer:
        found = Together(tuple(self._amount(name, domain) for name in self.of), sums, domain)
        tests = []
        for name in self.clip:
            _, test = clipping(sums[f"{name} clipped"])
            tests.append(Test(test.name, {"variable": name, **test.values}))
        doubtful = any(test.values["obs_status"] for test in tests)
        rows = found.correlations(doubtful, drawn=self.sampling is not False)
        rows += (*found.inflations(doubtful), *found.components(doubtful))
        holders = sums["holders"].renamed(domain.known_together(self.of).name, "together")
        return Answer(rows + count_rows(holders, sums, sampling=self.sampling is True), tuple(tests))


@dataclass(frozen=True)
class Together:
    """Sums over the holders of whom all are known, each about its centre and in units of half its range (z, from -1 to 1)."""

    amounts: tuple[Amount, ...]
    sums: Estimates
    domain: Domain

    @property
    def n_units(self) -> int:
        return int(self.sums["holders"].units[0])

    @property
    def n(self) -> float:
        return self.n_units / QUANTA

    def _scale(self, x: Amount) -> float:
        """Units in half a range."""
        return float(x.half_width << x.shift)

    def _of_n(self) -> float:
        """Variance of the noise in the number of holders."""
        return float(self.sums["holders"].covariance((slice(0, 1),))[0, 0])

    @cached_property
    def total(self) -> Floats:
        """Sums of z."""
        found = []
        for x in self.amounts:
            table = self.sums[x.variable]
            units = int(table.units) * QUANTA - x.centre * self.n_units * table.quantum
            found.append(units / (QUANTA * table.quantum) / self._scale(x))
        return np.array(found)

    @cached_property
    def total_noise(self) -> Floats:
        found = [self._noise(x.variable) / self._scale(x) ** 2 for x in self.amounts]
        return np.array(found)

    def _noise(self, name: str) -> float:
        table = self.sums[name]
        return float(table.covariance(())[0, 0]) + table.rounding * max(self.n, 0.0)

    @cached_property
    def products(self) -> tuple[Floats, Floats]:
        """Sums of z_i z_j, and the variances of their noise: d x d each."""
        size = len(self.amounts)
        values, noise = np.zeros((size, size)), np.zeros((size, size))
        for i, x in enumerate(self.amounts):
            y = self.domain.squarable(x)
            tables = {
                name.removeprefix(f"{x.variable} "): table
                for name, table in self.sums.tables.items()
                if name.startswith(f"{x.variable} square")
            }
            (about,), spread = about_centre(np.asarray(self.n_units), tables, y)
            values[i, i], noise[i, i] = float(about) / self._scale(x) ** 2, float(spread) / self._scale(x) ** 4
        for (i, x), (j, y) in combinations(enumerate(self.amounts), 2):
            steps = float(1 << (self.domain.squarable(x).shift + self.domain.squarable(y).shift))
            scale, name = steps / self._scale(x) / self._scale(y), f"{x.variable} {y.variable} product"
            if self.domain.exact:
                low, high = (int(self.sums[f"{name}_{limb}"].units) for limb in ("low", "high"))
                about_both = low + (high << LIMB_BITS)
            else:
                about_both = int(self.sums[name].units)
                noise[i, j] = noise[j, i] = self._noise(name) * scale**2
            values[i, j] = values[j, i] = about_both * scale
        return values, noise

    @cached_property
    def covariance(self) -> Floats:
        """Of z, as a population has it: divided by n."""
        mean = self.total / self.n
        return np.asarray(self.products[0] / self.n - np.outer(mean, mean))

    @cached_property
    def varies(self) -> npt.NDArray[np.bool_]:
        """Which variables vary by more than noise and the rounding of squares; none where too few holders have all of them."""
        noise = sqrt(max(self._of_n(), 0.0))
        if bool(marks.undivided(np.asarray(self.n), noise)) or self.n <= 3:
            return np.zeros(len(self.amounts), dtype=bool)
        n, spread = self.n, np.diag(self.covariance)
        by_n = (2 * self.total**2 / n - np.diag(self.products[0]) + self._shift * n) / n**2
        noise_of = by_n**2 * self._of_n() + (2 * self.total / n**2) ** 2 * self.total_noise
        noise_of = noise_of + np.diag(self.products[1]) / n**2
        return ~(marks.undivided(spread, np.sqrt(noise_of)) | (spread < ROUNDED))

    @property
    def _shift(self) -> float:
        """A centred square is measured less half a holder."""
        return 0.0 if self.domain.exact else 0.5

    @cached_property
    def correlation(self) -> Floats:
        """As it was measured: noise may put it beyond 1. NaN beside what does not vary."""
        spread = np.sqrt(np.where(self.varies, np.diag(self.covariance), np.nan))
        found = np.asarray(self.covariance / np.outer(spread, spread))
        np.fill_diagonal(found, 1.0)
        return found

    @cached_property
    def correlation_noise(self) -> Floats:
        """Variance of the noise in each correlation, to first order in the sums, whose noises are independent."""
        n, t, (s, of_s) = self.n, self.total, self.products
        r, b = self.correlation, np.where(self.varies, np.diag(self.covariance), np.nan)
        root = np.sqrt(np.outer(b, b))
        by_n = (2 * np.outer(t, t) / n - s) / n**2 / root
        own = (2 * t**2 / n - np.diag(s) + self._shift * n) / n**2 / b
        by_n = by_n - r / 2 * (own[:, None] + own[None, :])
        by_first = (r * t[:, None] / b[:, None] - t[None, :] / root) / n**2
        noise = by_n**2 * self._of_n() + of_s / (n * root) ** 2
        noise += by_first**2 * self.total_noise[:, None] + (by_first**2 * self.total_noise[:, None]).T
        squares = np.diag(of_s) / (2 * n * b) ** 2
        return np.asarray(noise + r**2 * (squares[:, None] + squares[None, :]))

    @cached_property
    def display(self) -> Floats:
        """The correlations without eigenvalues below 0, scaled to a diagonal of 1."""
        values, vectors = np.linalg.eigh(self.correlation)
        found = (vectors * np.maximum(values, 0.0)) @ vectors.T
        spread = np.sqrt(np.diag(found))
        return np.asarray(found / np.outer(spread, spread))

    # --- rows

    def correlations(self, doubtful: bool, *, drawn: bool) -> tuple[Row, ...]:
        """The interval is one of atanh r, where the drawing of holders varies it by 1 / (n - 3); like a difference, an r near 0 is not
        doubtful for being small. `display` is from the correlations without negative eigenvalues, where all variables vary."""
        pairs = combinations(range(len(self.amounts)), 2)
        return tuple(self._correlation(i, j, doubtful, drawn) for i, j in pairs)

    def _correlation(self, i: int, j: int, doubtful: bool, drawn: bool) -> Row:
        keys = {"a": self.amounts[i].variable, "b": self.amounts[j].variable}
        if not (self.varies[i] and self.varies[j]):
            return Row("correlation", keys, obs_status="x")
        r, noise = float(self.correlation[i, j]), float(self.correlation_noise[i, j])
        inside = min(max(r, -1.0), 1.0)
        chance = 1 / (self.n - 3)
        low, high = _fisher(r, noise, chance * drawn, self.sums.z)
        low, high = min(low, inside), max(high, inside)
        sd = sqrt(max(self._of_n(), 0.0))
        least, half = self.sums.least(self.sums["holders"]), np.asarray((high - low) / 2)
        unsure = doubtful or bool(marks.doubtful_share(np.asarray(self.n), sd, least, half, np.asarray(r)))
        return Row(
            "correlation",
            keys,
            base=self._base,
            estimate=significant(r),
            display=significant(float(self.display[i, j]) if self.varies.all() else inside),
            se_noise=significant(sqrt(noise)),
            se_sampling=significant((1 - inside**2) * sqrt(chance)),
            ci_low=significant(low),
            ci_high=significant(high),
            obs_status="u" if unsure else "",
        )

    @property
    def _base(self) -> float | int:
        table = self.sums["holders"]
        found: float | int = table.printed(table.units)[0].item()
        return found

    def _plain(self, measure: str, keys: dict[str, str], value: float, doubtful: bool) -> Row:
        """A number without an interval, of low reliability wherever there is noise."""
        status = "u" if doubtful or not self.sums["holders"].exact else ""
        return Row(measure, keys, estimate=significant(value), display=significant(value), obs_status=status)

    def inflations(self, doubtful: bool) -> tuple[Row, ...]:
        """Diagonal of the inverse; not available where noise may have made the variables independent of each other."""
        names = [x.variable for x in self.amounts]
        if self.varies.all():
            least, noise = float(np.linalg.eigvalsh(self.display)[0]), float(np.sqrt(self.correlation_noise.max()))
            if least > max(marks.DIVISIBLE * noise, SINGULAR):
                found = np.diag(np.linalg.inv(self.display))
                return tuple(
                    self._plain("vif", {"a": a}, float(v), doubtful) for a, v in zip(names, found, strict=True)
                )
        return tuple(Row("vif", {"a": name}, obs_status="x") for name in names)

    def components(self, doubtful: bool) -> tuple[Row, ...]:
        """Eigenvectors by falling eigenvalue; the largest loading of each is positive."""
        names, numbers = [x.variable for x in self.amounts], [str(at + 1) for at in range(len(self.amounts))]
        if not self.varies.all():
            gone = [Row("variance_share", {"component": at}, obs_status="x") for at in numbers]
            gone += [Row("loading", {"component": at, "a": name}, obs_status="x") for at in numbers for name in names]
            return tuple(gone)
        values, vectors = (each[..., ::-1] for each in np.linalg.eigh(self.display))
        signs = np.sign(vectors[np.abs(vectors).argmax(axis=0), range(len(names))])
        parts = [
            self._plain("variance_share", {"component": at}, float(max(value, 0.0)) / len(names), doubtful)
            for at, value in zip(numbers, values, strict=True)
        ]
        parts += [
            self._plain("loading", {"component": at, "a": name}, float(vectors[row, column] * signs[column]), doubtful)
            for column, at in enumerate(numbers)
            for row, name in enumerate(names)
        ]
        return tuple(parts)


def _fisher(r: float, noise: float, chance: float, z: float) -> tuple[float, float]:
    """The interval of a correlation by its atanh; by itself where noise has put it beyond 1."""
    if abs(r) >= 1:
        half = z * sqrt(noise)
        return max(r - half, -1.0), min(r + half, 1.0)
    half = z * sqrt(chance + noise / (1 - r**2) ** 2)
    return float(np.tanh(np.arctanh(r) - half)), float(np.tanh(np.arctanh(r) + half))
