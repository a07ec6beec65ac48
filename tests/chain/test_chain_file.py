"""Chains on disk: files are read as they were written, and an unreadable file gives one line of InputError."""

from pathlib import Path
from typing import Any

import h5netcdf
import numpy as np
import pytest

from ebm_cli.chain.chain_file import read, write
from ebm_cli.chain.chains import Chains
from ebm_cli.chain.quantities import quantities
from ebm_cli.chain.screening import screen
from ebm_cli.check import InputError
from ebm_cli.cli.runs import find

CHAINS, DRAWS = 3, 5


def chains(*event: int) -> Chains:
    random = np.random.default_rng(0)
    return Chains(
        x=random.standard_normal((CHAINS, DRAWS, *event)),
        potential=random.random((CHAINS, DRAWS)),
        acceptance=random.random((CHAINS, DRAWS)),
        thin=4,
        gradients=21,
        names=list(range(CHAINS)),
    )


def written(folder: Path, given: Chains, temperature: float = 2.0) -> Path:
    path = folder / "chains.nc"
    write(path, given, temperature, {"ebm_version": "0"})
    return path


def netcdf(path: Path, group: str, name: str, x: np.ndarray) -> Path:
    with h5netcdf.File(path, "w") as file:
        part = file.create_group(group)
        part.dimensions = {f"d{i}": size for i, size in enumerate(x.shape)}
        part.create_variable(name, tuple(part.dimensions), data=x)
    return path


def npy(path: Path, x: Any) -> Path:
    np.save(path, x, allow_pickle=True)
    return path


def cut(path: Path, size: int) -> Path:
    path.write_bytes(path.read_bytes()[:size])
    return path


def refused(path: Path) -> str:
    with pytest.raises(InputError) as caught:
        read(path)
    assert "\n" not in str(caught.value) and str(caught.value).count(str(path)) == 1
    return str(caught.value)


@pytest.mark.parametrize("event", [(1,), (2,), (1, 4, 4)])
def test_chains_come_back_as_they_went(tmp_path: Path, event: tuple[int, ...]) -> None:
    given = chains(*event)
    found = read(written(tmp_path, given))
    for name in ("x", "potential", "acceptance"):
        assert np.array_equal(getattr(found, name), getattr(given, name)), name
    assert (found.thin, found.gradients, found.names, found.event) == (4, 21, [0, 1, 2], event)


def test_what_is_unknown_comes_back_unknown(tmp_path: Path) -> None:
    found = read(written(tmp_path, Chains(x=np.zeros((2, 3, 1)))))
    assert found.potential is None and found.acceptance is None and found.gradients is None and found.thin == 1


def test_values_that_are_not_finite_come_back_as_they_went(tmp_path: Path) -> None:
    given = chains(2)
    given.x[1, 2:] = np.nan
    given.x[2, 4, 0] = np.inf
    assert np.array_equal(read(written(tmp_path, given)).x, given.x, equal_nan=True)


def test_the_file_is_laid_out_as_arviz_expects(tmp_path: Path) -> None:
    with h5netcdf.File(written(tmp_path, chains(2)), "r") as file:
        posterior, stats = file["posterior"], file["sample_stats"]
        assert posterior["x"].dimensions == ("chain", "draw", "x_dim_0")
        assert posterior["x_dim_0"].shape == (2,)
        assert set(stats.variables) == {
            "chain", "draw", "lp", "energy", "potential", "acceptance_rate", "diverging",
        }  # fmt: skip
        for group in (posterior, stats):
            assert group["chain"][...].tolist() == [0, 1, 2]
            assert group["draw"][...].tolist() == [0, 1, 2, 3, 4]
            assert group.dimensions["chain"].size == CHAINS


def test_lp_is_minus_the_energy_over_the_temperature(tmp_path: Path) -> None:
    given = chains(2)
    with h5netcdf.File(written(tmp_path, given, temperature=2.0), "r") as file:
        assert np.array_equal(file["sample_stats"]["lp"][...], -given.potential / 2.0)


def test_there_is_no_lp_at_temperature_zero(tmp_path: Path) -> None:
    with h5netcdf.File(written(tmp_path, chains(2), temperature=0.0), "r") as file:
        assert "lp" not in file["sample_stats"].variables


@pytest.mark.arviz
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("event", [(1,), (2,), (1, 4, 4)])
@pytest.mark.parametrize("plot", ["plot_trace", "plot_rank", "plot_autocorr", "plot_ess", "plot_energy"])
def test_arvizs_own_plots_open_the_file(tmp_path: Path, event: tuple[int, ...], plot: str) -> None:
    arviz = pytest.importorskip("arviz")
    random = np.random.default_rng(0)
    given = Chains(x=random.standard_normal((4, 100, *event)), potential=random.random((4, 100)))
    found = arviz.from_netcdf(written(tmp_path, given))
    assert found["posterior"]["x"].shape == given.x.shape
    chosen = {} if plot == "plot_energy" else {"coords": {f"x_dim_{axis}": [0] for axis in range(len(event))}}
    getattr(arviz, plot)(found, **chosen)


def test_diverging_is_a_whole_number_and_marks_draws_that_are_not_finite(tmp_path: Path) -> None:
    given = chains(2)
    given.x[1, 3:, 0] = np.nan
    with h5netcdf.File(written(tmp_path, given), "r") as file:
        diverging = file["sample_stats"]["diverging"][...]
    assert diverging.dtype == np.int8
    assert diverging.tolist() == [[0] * 5, [0, 0, 0, 1, 1], [0] * 5]


@pytest.mark.parametrize("dtype", [np.float32, np.int64])
def test_anyones_array_is_read_as_chain_draw_event(tmp_path: Path, dtype: type) -> None:
    x = np.arange(24).reshape(2, 3, 4).astype(dtype)
    found = read(npy(tmp_path / "x.npy", x))
    assert found.x.dtype == np.float64 and np.array_equal(found.x, x)
    assert found.names == [0, 1] and found.thin == 1 and found.potential is None


def test_an_array_of_two_axes_is_chains_of_one_number(tmp_path: Path) -> None:
    x = np.arange(6.0).reshape(2, 3)
    assert np.array_equal(read(npy(tmp_path / "x.npy", x)).x, x[:, :, None])


@pytest.mark.parametrize(
    "x",
    [
        pytest.param(np.array([[{}, 1]], dtype=object), id="pickled objects"),
        pytest.param(np.zeros((0, 3, 2)), id="no chains"),
        pytest.param(np.zeros((2, 0, 2)), id="no draws"),
        pytest.param(np.zeros((2, 3, 0)), id="no event"),
        pytest.param(np.zeros(5), id="one axis"),
        pytest.param(np.array(5.0), id="no axis"),
        pytest.param(np.array([["a", "b"]]), id="strings"),
        pytest.param(np.zeros((2, 3), dtype=bool), id="booleans"),
        pytest.param(np.zeros((2, 3), dtype=complex), id="complex numbers"),
        pytest.param(np.zeros((2, 3), dtype=[("a", float)]), id="records"),
    ],
)
def test_an_array_that_holds_no_chains_is_an_input_error(tmp_path: Path, x: np.ndarray) -> None:
    refused(npy(tmp_path / "x.npy", x))


@pytest.mark.parametrize("size", [0, 6, 60, 140])
def test_a_truncated_array_is_an_input_error(tmp_path: Path, size: int) -> None:
    refused(cut(npy(tmp_path / "x.npy", np.zeros((4, 5, 2))), size))


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9])
def test_a_truncated_netcdf_is_an_input_error(tmp_path: Path, share: float) -> None:
    path = written(tmp_path, chains(1, 16, 16))
    refused(cut(path, int(share * path.stat().st_size)))


def test_a_zip_of_arrays_is_an_input_error(tmp_path: Path) -> None:
    with (tmp_path / "x.npy").open("wb") as file:
        np.savez(file, x=np.zeros((2, 3)))
    refused(tmp_path / "x.npy")


@pytest.mark.parametrize(
    ("group", "name", "x"),
    [
        pytest.param("prior", "x", np.zeros((2, 3, 1)), id="no posterior"),
        pytest.param("posterior", "theta", np.zeros((2, 3, 1)), id="no chain and draw"),
        pytest.param("posterior", "x", np.zeros(3), id="one axis"),
    ],
)
def test_a_netcdf_without_chains_is_an_input_error(tmp_path: Path, group: str, name: str, x: np.ndarray) -> None:
    refused(netcdf(tmp_path / "chains.nc", group, name, x))


def test_a_wrong_suffix_is_an_input_error_that_names_the_right_ones(tmp_path: Path) -> None:
    (tmp_path / "chains.csv").write_text("1,2")
    assert ".nc" in refused(tmp_path / "chains.csv") and ".npy" in refused(tmp_path / "chains.csv")


@pytest.mark.parametrize(
    ("name", "content", "advice"),
    [
        ("a.npz", b"PK", "np.load(FILE)['NAME']"),
        ("a.csv", b"1,2", "np.save"),
        ("a.pt", b"PK", "tensor.numpy()"),
        ("a.json", b"{}", "to_netcdf"),
        ("chains", b"", "np.save"),
        ("a.nc", b"hello, this is text", "not NetCDF4"),
        ("b.nc", b"CDF\x01\x00\x00\x00", "NetCDF3"),
    ],
)
def test_a_file_of_another_kind_is_told_the_kinds_and_what_to_do(
    tmp_path: Path, name: str, content: bytes, advice: str
) -> None:
    (tmp_path / name).write_bytes(content)
    message = refused(tmp_path / name)
    assert advice in message and ".nc" in message and ".npy" in message
    assert name.endswith(".nc") or str(tmp_path / name) in messages_of(lambda: find(str(tmp_path / name), "diagnose"))


def messages_of(action: Any) -> str:
    with pytest.raises(InputError) as caught:
        action()
    return str(caught.value)


def posterior(path: Path, variables: dict[str, tuple[tuple[str, ...], np.ndarray]]) -> Path:
    """An ArviZ file with these variables."""
    with h5netcdf.File(path, "w") as file:
        group = file.create_group("posterior")
        write_variables(group, variables)
    return path


def write_variables(group: h5netcdf.Group, variables: dict[str, tuple[tuple[str, ...], np.ndarray]]) -> None:
    """Write variables to a group, with the dimensions that it lacks."""
    for name, (axes, values) in variables.items():
        for axis, size in zip(axes, values.shape, strict=True):
            if axis not in group.dimensions:
                group.dimensions[axis] = size
        group.create_variable(name, axes, data=values)


def test_every_variable_of_numbers_is_read_and_names_its_coordinates(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    mu, theta, tau = (random.standard_normal((3, 7, *event)) for event in ((), (2,), (2, 2)))
    path = posterior(
        tmp_path / "a.nc",
        {
            "chain": (("chain",), np.arange(3)),
            "school": (("school",), np.array([b"a", b"b"])),
            "mu": (("draw", "chain"), mu.T),
            "theta": (("school", "chain", "draw"), np.moveaxis(theta, 2, 0)),
            "tau": (("chain", "draw", "k", "l"), tau),
            "word": (("chain", "draw"), np.full((3, 7), b"no")),
        },
    )
    found = read(path)
    parts = [mu[:, :, None], theta, tau.reshape(3, 7, 4)]
    assert np.array_equal(found.x, np.concatenate(parts, 2))
    names = ["mu", "theta[0]", "theta[1]", "tau[0,0]", "tau[0,1]", "tau[1,0]", "tau[1,1]"]
    assert list(quantities(found)) == names == [found.only([0, 2]).coordinate(i) for i in range(7)]
    assert len(found.notes) == 1 and "posterior/word" in found.notes[0] and "real numbers" in found.notes[0]


def test_a_variable_of_another_name_keeps_its_shape_and_a_still_one_is_named(tmp_path: Path) -> None:
    values = np.random.default_rng(0).standard_normal((3, 9, 2, 2))
    values[..., 1, 0] = 4.0
    path = posterior(tmp_path / "a.nc", {"tau": (("chain", "draw", "k", "l"), values)})
    found = read(path)
    assert found.event == (2, 2) and np.array_equal(found.x, values)
    assert screen(found).warnings == ["tau[1,0] never moved in any chain, so its distribution is unknown"]


def test_a_missing_file_is_an_input_error(tmp_path: Path) -> None:
    assert "does not exist" in refused(tmp_path / "chains.nc")


def test_part_of_the_chains_keep_their_numbers() -> None:
    part = chains(2).only([2, 0]).only([0])
    assert part.names == [2] and np.array_equal(part.x, chains(2).x[2:3])
    assert (part.thin, part.gradients) == (4, 21)


def foreign(
    path: Path,
    x: np.ndarray,
    dims: tuple[str, ...] = ("chain", "draw", "x_dim_0"),
    stats: dict[str, tuple[tuple[str, ...], np.ndarray]] | None = None,
    attributes: dict[str, Any] | None = None,
    **of_x: Any,
) -> Path:
    """A file as another tool may write it: any order of dimensions, CF attributes, statistics of any shape."""
    with h5netcdf.File(path, "w") as file:
        group = file.create_group("posterior")
        group.dimensions = dict(zip(dims, x.shape, strict=True))
        group.create_variable("x", dims, data=x).attrs.update(of_x)
        group.attrs.update(attributes or {})
        if stats:
            write_variables(file.create_group("sample_stats"), stats)
    return path


NUMBERS = np.random.default_rng(1).standard_normal((3, 7, 2))


@pytest.mark.parametrize("order", [(0, 1, 2), (1, 0, 2), (2, 1, 0), (1, 2, 0)])
def test_dimensions_are_told_apart_by_their_names(tmp_path: Path, order: tuple[int, ...]) -> None:
    names = ("chain", "draw", "x_dim_0")
    path = foreign(tmp_path / "a.nc", NUMBERS.transpose(order), tuple(names[i] for i in order))
    assert np.array_equal(read(path).x, NUMBERS)


def test_one_number_a_state_may_also_come_draw_by_draw(tmp_path: Path) -> None:
    assert np.array_equal(read(foreign(tmp_path / "a.nc", NUMBERS[:, :, 0].T, ("draw", "chain"))).x, NUMBERS[:, :, :1])


def test_statistics_are_read_by_the_names_of_their_dimensions(tmp_path: Path) -> None:
    stats = {
        "potential": (("draw", "chain"), NUMBERS[:, :, 0].T),
        "acceptance_rate": (("chain", "draw"), NUMBERS[:, :, 1]),
    }
    found = read(foreign(tmp_path / "a.nc", NUMBERS, stats=stats))
    assert np.array_equal(found.potential, NUMBERS[:, :, 0]) and np.array_equal(found.acceptance, NUMBERS[:, :, 1])
    assert not found.notes


@pytest.mark.parametrize("dims", [("draw", "d", "e"), ("chain", "sample", "e"), ("a", "b", "c")])
def test_a_file_without_chain_and_draw_is_an_input_error_that_names_them(tmp_path: Path, dims: tuple) -> None:
    message = refused(foreign(tmp_path / "a.nc", NUMBERS, dims))
    assert "chain and draw" in message and dims[0] in message


@pytest.mark.parametrize("dtype", [np.int16, np.int32, np.float32])
def test_packed_numbers_are_unpacked(tmp_path: Path, dtype: type) -> None:
    raw = np.arange(42).reshape(3, 7, 2).astype(dtype)
    found = read(foreign(tmp_path / "a.nc", raw, scale_factor=0.01, add_offset=270.0))
    np.testing.assert_allclose(found.x, raw.astype(float) * 0.01 + 270.0, rtol=1e-12)
    assert not found.warnings


@pytest.mark.parametrize("key", ["_FillValue", "missing_value"])
@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.int16])
def test_draws_missing_at_the_end_of_all_chains_are_cut_and_named(tmp_path: Path, dtype: type, key: str) -> None:
    raw = np.arange(42).reshape(3, 7, 2).astype(dtype)
    raw[:, 5:] = -9999
    attributes: dict[str, Any] = {key: dtype(-9999), "scale_factor": 2.0}
    found = read(foreign(tmp_path / "a.nc", raw, **attributes))
    assert np.array_equal(found.x, 2.0 * raw[:, :5])
    assert found.warnings == ["6 of 21 draws are missing in the file: draws 0 to 4 of all 3 chains are used"]


def test_the_largest_block_without_a_missing_draw_is_kept_with_its_statistics(tmp_path: Path) -> None:
    raw, potential = NUMBERS.copy(), np.arange(21.0).reshape(3, 7)
    raw[1, 2] = raw[1, 6] = -1.0
    raw[0, :1] = -1.0
    stats = {"potential": (("chain", "draw"), potential)}
    found = read(foreign(tmp_path / "a.nc", raw, stats=stats, _FillValue=-1.0))
    # Two chains over six draws beat three over three, and one over seven.
    assert np.array_equal(found.x, NUMBERS[[0, 2], 1:]) and found.names == [0, 2]
    assert np.array_equal(found.potential, potential[[0, 2], 1:])
    assert "draws 1 to 6 of 2 of 3 chains (0, 2)" in found.warnings[0]


@pytest.mark.parametrize("name", ["a.nc", "a.npy"])
def test_draws_that_no_chain_has_are_missing_and_those_of_one_are_not_finite(tmp_path: Path, name: str) -> None:
    x = NUMBERS.copy()
    x[:, 5:] = np.nan
    path = tmp_path / name
    found = read(npy(path, x) if name == "a.npy" else foreign(path, x, _FillValue=np.nan))
    assert np.array_equal(found.x, NUMBERS[:, :5]) and "6 of 21 draws" in found.warnings[0]
    x = NUMBERS.copy()
    x[1, 5:] = np.nan
    found = read(npy(path, x) if name == "a.npy" else foreign(path, x, _FillValue=np.nan))
    assert np.array_equal(found.x, x, equal_nan=True) and not found.warnings


def test_chains_of_our_own_that_all_broke_are_not_missing(tmp_path: Path) -> None:
    given = chains(2)
    given.x[:, 3:] = np.nan
    found = read(written(tmp_path, given))
    assert np.array_equal(found.x, given.x, equal_nan=True) and not found.warnings


@pytest.mark.parametrize(
    ("axes", "values", "why"),
    [
        pytest.param(("chain", "draw"), np.zeros((3, 4)), "shape (3, 4)", id="fewer draws"),
        pytest.param(("chain", "draw"), np.zeros((2, 7)), "shape (2, 7)", id="fewer chains"),
        pytest.param(("draw",), np.zeros(7), "chain and draw", id="one axis"),
        pytest.param(("chain", "draw", "k"), np.zeros((3, 7, 2)), "shape (3, 7, 2)", id="three axes"),
        pytest.param(("chain", "draw"), np.zeros((3, 7), complex), "real numbers", id="complex"),
    ],
)
def test_statistics_of_another_shape_are_left_out_with_one_line(
    tmp_path: Path, axes: tuple[str, ...], values: np.ndarray, why: str
) -> None:
    found = read(foreign(tmp_path / "a.nc", NUMBERS, stats={"potential": (axes, values)}))
    assert found.potential is None and np.array_equal(found.x, NUMBERS)
    assert len(found.notes) == 1 and "sample_stats/potential" in found.notes[0] and why in found.notes[0]


@pytest.mark.parametrize("key", ["thin", "gradients_per_chain"])
@pytest.mark.parametrize("value", [-3, 0, 2.5, np.nan, np.inf, "often", np.array([1, 2])])
def test_a_count_that_is_none_is_one_line(tmp_path: Path, key: str, value: Any) -> None:
    message = refused(foreign(tmp_path / "a.nc", NUMBERS, attributes={key: value}))
    assert f"{key} of posterior must be a whole number >= 1" in message


@pytest.mark.parametrize("value", [5, 5.0, np.array([5, 5, 5])])
def test_a_count_may_be_one_number_or_one_of_each_chain(tmp_path: Path, value: Any) -> None:
    assert read(foreign(tmp_path / "a.nc", NUMBERS, attributes={"thin": value})).thin == 5


@pytest.mark.parametrize("of_x", [{"scale_factor": "two"}, {"_FillValue": -1.0}, {"add_offset": "x"}])
def test_what_cannot_be_decoded_is_an_input_error(tmp_path: Path, of_x: dict[str, Any]) -> None:
    refused(foreign(tmp_path / "a.nc", np.full((3, 7, 2), -1.0), **of_x))


@pytest.mark.parametrize("dtype", [complex, "S3"])
def test_a_netcdf_of_no_real_numbers_is_an_input_error(tmp_path: Path, dtype: Any) -> None:
    assert "real numbers" in refused(foreign(tmp_path / "a.nc", NUMBERS.astype(dtype)))
