"""Test the judgment: one sentence of verdicts and meanings that never praises a refused number."""

import json

import pytest

from ebm_cli.estimate import Estimate, refused
from ebm_cli.report.judgment import judgment

MIXED = Estimate(1.0, meaning="1 stands for mixed")
STUCK = refused("not mixed: R̂ = 1.5 of x[0] is above 1.1; raise burn_in and steps")
TOLD = Estimate(0.56, se=0.02, meaning="a classifier tells samples from data in 56 % of cases (50 % is perfect)")


def sentence(*runs: tuple[str, dict[str, Estimate]]) -> str:
    return judgment(
        (verb, {name: json.loads(json.dumps(row.to_json())) for name, row in rows.items()}) for verb, rows in runs
    )


@pytest.mark.parametrize(
    ("runs", "expected"),
    [
        pytest.param([], "", id="nothing"),
        pytest.param([("train", {"loss": Estimate(0.1)})], "Training: no warnings.", id="trained"),
        pytest.param(
            [("train", {"loss": refused("chains left the data; lower sampler.step_size")})],
            "Training: refused, chains left the data.",
            id="training refused",
        ),
        pytest.param(
            [("train", {"loss": Estimate(0.1).with_caution(["gap"])})],
            "Training: caution, gap.",
            id="training doubted",
        ),
        pytest.param([("sample", {"mixing": MIXED})], "Chains: mixed.", id="mixed"),
        pytest.param(
            [("diagnose", {"mixing": refused("1 draws a chain are fewer than the 4 needed: raise steps")})],
            "Chains: not judged, 1 draws a chain are fewer than the 4 needed: raise steps.",
            id="not judged",
        ),
        pytest.param(
            [("diagnose", {"mixing": refused("chain 3 not finite, left out; not mixed: x drifts; raise burn_in")})],
            "Chains: not mixed, x drifts.",
            id="evidence before remarks",
        ),
        pytest.param([("sample", {"mixing": STUCK})], "Chains: not mixed, R̂ = 1.5 of x[0] is above 1.1.", id="stuck"),
        pytest.param(
            [("diagnose", {"mixing": MIXED.with_caution(["inconclusive: too short"])})],
            "Chains: perhaps not mixed, too short.",
            id="not decided",
        ),
        pytest.param(
            [("evaluate", {"c2st": TOLD}), ("sample", {"mixing": STUCK})],
            "A classifier tells samples from data in 56 % of cases (50 % is perfect); "
            "chains: not mixed, R̂ = 1.5 of x[0] is above 1.1.",
            id="both",
        ),
        pytest.param(
            [("sample", {"mixing": MIXED}), ("evaluate", {"c2st": TOLD, "mixing": STUCK})],
            "A classifier tells samples from data in 56 % of cases (50 % is perfect); chains: mixed.",
            id="the longer chains",
        ),
        pytest.param(
            [
                ("sample", {"mixing": MIXED}),
                (
                    "evaluate",
                    {
                        "mixing": MIXED.with_caution(["too short"]),
                        "memorization": Estimate(0.5, meaning="no copies").with_caution(["too short"]),
                    },
                ),
            ],
            "Chains: mixed.",
            id="no alarm for what the mixing of the same run says already",
        ),
        pytest.param(
            [("evaluate", {"log_z": Estimate(1.25, se=0.01).with_caution(["no upper bound"])})],
            "Log Z = 1.250 ± 0.010 (caution: no upper bound).",
            id="log Z",
        ),
        pytest.param(
            [("sample", {"log_z": STUCK, "mixing": STUCK})],
            "Log Z: refused; chains: not mixed, R̂ = 1.5 of x[0] is above 1.1.",
            id="log Z refused for the chains",
        ),
        pytest.param(
            [
                (
                    "evaluate",
                    {
                        "c2st": TOLD.with_caution(["inconclusive: short"]),
                        "mixing": MIXED.with_caution(["inconclusive: short"]),
                    },
                )
            ],
            "A classifier tells samples from data in 56 % of cases (50 % is perfect) (caution); "
            "chains: perhaps not mixed, short.",
            id="samples under caution for the chains",
        ),
        pytest.param(
            [("sample", {"mixing": MIXED}), ("evaluate", {"c2st": STUCK, "mixing": STUCK})],
            "Samples: not compared, not mixed: R̂ = 1.5 of x[0] is above 1.1; chains: mixed.",
            id="not compared for shorter chains than those of the last clause",
        ),
        pytest.param(
            [("evaluate", {"c2st": STUCK, "mixing": STUCK})],
            "Samples: not compared; chains: not mixed, R̂ = 1.5 of x[0] is above 1.1.",
            id="not compared for the chains",
        ),
        pytest.param(
            [
                (
                    "sample",
                    {
                        "log_z": Estimate(1.25, se=0.01, reasons=("3 replicas",)).with_caution(["inconclusive: short"]),
                        "mixing": MIXED.with_caution(["inconclusive: short"]),
                    },
                )
            ],
            "Log Z = 1.250 ± 0.010 (caution); chains: perhaps not mixed, short.",
            id="log Z under caution for the chains",
        ),
        pytest.param(
            [("evaluate", {"c2st": refused("too few")})], "Samples: not compared, too few.", id="not compared"
        ),
        pytest.param(
            [("evaluate", {"energy": Estimate(1.0), "rare_fraction": Estimate(0.4, meaning="40 % are rare")})],
            "40 % are rare.",
            id="scores",
        ),
        pytest.param([("evaluate", {"odd": Estimate(1.0)})], "Verdicts: 1 ok.", id="no meaning"),
        pytest.param(
            [("sample", {"mixing": STUCK}), ("sample", {"mixing": MIXED})], "Chains: mixed.", id="the later one"
        ),
        pytest.param(
            [("diagnose", {"mixing": MIXED}), ("sample", {"mixing": STUCK})],
            "Chains: not mixed, R̂ = 1.5 of x[0] is above 1.1.",
            id="the later one of two verbs",
        ),
        pytest.param(
            [
                (
                    "diagnose",
                    {"modes_missing": Estimate([2.0], meaning="chains miss 1 of 4 modes").with_caution(["why"])},
                )
            ],
            "Chains miss 1 of 4 modes.",
            id="alarm",
        ),
        pytest.param(
            [
                (
                    "diagnose",
                    {
                        "mixing": MIXED.with_caution(["too short"]),
                        "effective_temperature": Estimate(1.01, meaning="warm").with_caution(["too short"]),
                        "modes_missing": Estimate([], meaning="no mode is missing").with_caution(["too short"]),
                    },
                )
            ],
            "Chains: perhaps not mixed, too short.",
            id="no alarm for what mixing says already",
        ),
    ],
)
def test_the_sentence_follows_from_the_rows(runs: list, expected: str) -> None:
    assert sentence(*runs) == expected
