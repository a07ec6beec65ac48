"""Images: each mode, rotation and transparency gives the visible picture, and other files are refused by name."""

import shutil
import struct
import zlib
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from ebm_cli.check import InputError
from ebm_cli.cli import main
from ebm_cli.data._picture_folder import picture_names
from ebm_cli.data.images import Images
from ebm_cli.run.folder import Run
from ebm_cli.sampling.output import write_images
from tests.contract import build, scratch

SHAPES = ((40, 40), (64, 48), (30, 50))


@cache
def example() -> dict[str, Any]:
    """What conf/data/images.yaml leaves to the user, for the tests that build every YAML."""
    return {"path": str(folder_of(12, scratch()))}


def folder_of(pictures: int, folder: Path) -> Path:
    """Noise over a ramp, PNGs of three sizes."""
    rng = np.random.default_rng(0)
    for i in range(pictures):
        height, width = SHAPES[i % 3]
        ramp = np.linspace(40, 180, width)[None, :, None]
        pixels = ramp + rng.uniform(-40, 60, (height, width, 3))
        Image.fromarray(pixels.astype(np.uint8)).save(folder / f"p{i:03d}.png")
    return folder


def images(folder: Path, **changes: Any) -> Images:
    return build("data", "images", {"path": str(folder)} | changes)


def back(picture: Image.Image, folder: Path, name: str = "a.png", **changes: Any) -> np.ndarray:
    """One picture as it comes back, grey levels 0…255, saved by `name` beside a copy (two are the least)."""
    folder.mkdir(exist_ok=True)
    options = changes.pop("save", {})
    for file in (name, f"b{name}"):
        picture.save(folder / file, **options)
    data = images(folder, **({"size": 8} | changes))
    return data.decode(data.split("train").x)[0] * 255


def patches(*colours: Any, mode: str, side: int = 8) -> Image.Image:
    """Four quarters, left to right and top to bottom."""
    picture, half = Image.new(mode, (side, side)), side // 2
    for i, colour in enumerate(colours):
        picture.paste(colour, (i % 2 * half, i // 2 * half, i % 2 * half + half, i // 2 * half + half))
    return picture


def quarters(*colours: Any, side: int = 8) -> np.ndarray:
    cells = np.array(colours, dtype=float).reshape(2, 2, -1)
    return cells.repeat(side // 2, 0).repeat(side // 2, 1).squeeze()


RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)
GREYS = ((0, 0, 0), (85, 85, 85), (170, 170, 170), WHITE)


def palette() -> Image.Image:
    return patches(RED, GREEN, BLUE, WHITE, mode="RGB").convert("P", palette=Image.Palette.ADAPTIVE, colors=4)


def palette_with_hole() -> Image.Image:
    picture = patches(0, 1, 2, 3, mode="P")
    picture.putpalette([*RED, *GREEN, *BLUE, 0, 0, 0])
    return picture


def sixteen_bits() -> Image.Image:
    return Image.fromarray((quarters(0, 85, 170, 255) * 257).astype(np.uint16))


# Mode, the picture, the file's name and options, and the levels that people see.
MODES: dict[str, tuple[Any, str, dict[str, Any], Any]] = {
    "RGB": (patches(RED, GREEN, BLUE, WHITE, mode="RGB"), "a.png", {}, (RED, GREEN, BLUE, WHITE)),
    "L": (patches(0, 85, 170, 255, mode="L"), "a.png", {}, GREYS),
    "1": (patches(0, 1, 1, 0, mode="1"), "a.png", {}, (GREYS[0], WHITE, WHITE, GREYS[0])),
    "1 as TIFF": (patches(0, 1, 1, 0, mode="1"), "a.tif", {}, (GREYS[0], WHITE, WHITE, GREYS[0])),
    "P": (palette(), "a.png", {}, (RED, GREEN, BLUE, WHITE)),
    "P as GIF": (palette(), "a.gif", {}, (RED, GREEN, BLUE, WHITE)),
    "P with a transparent entry": (palette_with_hole(), "a.png", {"transparency": 3}, (RED, GREEN, BLUE, WHITE)),
    "P with a transparent entry as GIF": (palette_with_hole(), "a.gif", {"transparency": 3}, (RED, GREEN, BLUE, WHITE)),
    "P with alphas": (
        palette_with_hole(),
        "a.png",
        {"transparency": bytes([255, 0, 128, 255])},
        (RED, WHITE, (127, 127, 255), (0, 0, 0)),
    ),
    "RGBA": (
        patches((*RED, 255), (*RED, 0), (*RED, 128), (0, 0, 0, 51), mode="RGBA"),
        "a.png",
        {},
        (RED, WHITE, (255, 127, 127), (204, 204, 204)),
    ),
    "LA": (
        patches((0, 255), (0, 0), (0, 128), (85, 255), mode="LA"),
        "a.png",
        {},
        (GREYS[0], WHITE, (127, 127, 127), GREYS[1]),
    ),
    "RGB with a transparent colour": (
        patches(RED, GREEN, BLUE, (0, 0, 0), mode="RGB"),
        "a.png",
        {"transparency": (0, 0, 0)},
        (RED, GREEN, BLUE, WHITE),
    ),
    "L with a transparent level": (
        patches(0, 85, 170, 255, mode="L"),
        "a.png",
        {"transparency": 0},
        (WHITE, *GREYS[1:]),
    ),
    "I;16": (sixteen_bits(), "a.png", {}, GREYS),
    "I;16 as TIFF": (sixteen_bits(), "a.tif", {}, GREYS),
    "I;16B": (Image.fromarray((quarters(0, 85, 170, 255) * 257).astype(">u2")), "a.tif", {}, GREYS),
    "I": (sixteen_bits().convert("I"), "a.tif", {}, GREYS),
    "F": (Image.fromarray((quarters(0, 85, 170, 255) / 255).astype(np.float32)), "a.tif", {}, GREYS),
    "CMYK": (
        patches((0, 255, 255, 0), (255, 0, 255, 0), (255, 255, 0, 0), (0, 0, 0, 0), mode="CMYK"),
        "a.tif",
        {},
        (RED, GREEN, BLUE, WHITE),
    ),
    "PPM": (patches(RED, GREEN, BLUE, WHITE, mode="RGB"), "a.ppm", {}, (RED, GREEN, BLUE, WHITE)),
    "lossless WebP": (
        patches((*RED, 255), (*RED, 0), (*BLUE, 255), (*GREEN, 255), mode="RGBA"),
        "a.webp",
        {"lossless": True},
        (RED, WHITE, BLUE, GREEN),
    ),
    "BMP": (patches(RED, GREEN, BLUE, WHITE, mode="RGB"), "a.BMP", {}, (RED, GREEN, BLUE, WHITE)),
}


@pytest.mark.parametrize("case", MODES, ids=str)
def test_every_mode_gives_the_levels_that_people_see(case: str, tmp_path: Path) -> None:
    picture, name, options, colours = MODES[case]
    found = back(picture, tmp_path, name, save=options)
    np.testing.assert_allclose(found, quarters(*colours), atol=1.01)
    if (
        128 not in [value for colour in colours for value in colour]
        and "alpha" not in case
        and case not in ("RGBA", "LA")
    ):
        np.testing.assert_allclose(found, quarters(*colours), atol=1e-4)


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
def test_jpegs_come_back_within_their_own_loss(mode: str, tmp_path: Path) -> None:
    colours = (RED, GREEN, BLUE, WHITE) if mode != "L" else GREYS
    side = 64
    picture = patches(*colours, mode="RGB", side=side).convert(mode)
    found = back(picture, tmp_path, "a.jpg", size=side, save={"quality": 95, "subsampling": 0} if mode == "RGB" else {})
    assert np.abs(found - quarters(*colours, side=side)).mean() < 3


def png(width: int, height: int, depth: int, kind: int, rows: list[bytes]) -> bytes:
    """A PNG file by hand; kind is 0 for grey, 2 for RGB."""

    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, kind, 0, 0, 0))
    content = chunk(b"IDAT", zlib.compress(b"".join(b"\0" + row for row in rows)))
    return b"\x89PNG\r\n\x1a\n" + header + content + chunk(b"IEND", b"")


def test_depths_that_pillow_does_not_write_are_scaled_too(tmp_path: Path) -> None:
    rgb = (np.arange(48).reshape(4, 4, 3) * 1300).astype(">u2")
    for name in ("a.png", "b.png"):
        (tmp_path / name).write_bytes(png(4, 4, 16, 2, [row.tobytes() for row in rgb]))
    data = images(tmp_path, size=4)
    np.testing.assert_allclose(data.decode(data.split("train").x)[0] * 255, rgb / 257, atol=1.01)
    for name in ("a.png", "b.png"):
        (tmp_path / name).write_bytes(png(4, 4, 2, 0, [bytes([0b00011011])] * 4))
    data = images(tmp_path, size=4, channels=1)
    np.testing.assert_allclose(data.decode(data.split("train").x)[0] * 255, [[0, 85, 170, 255]] * 4, atol=1e-4)


def test_sixteen_bit_levels_are_scaled_and_not_cut_off(tmp_path: Path) -> None:
    ramp = np.linspace(0, 65535, 64).round().astype(np.uint16).reshape(8, 8)
    found = back(Image.fromarray(ramp), tmp_path, channels=1)
    np.testing.assert_allclose(found, ramp / 257, atol=0.51)


def test_colour_turned_grey_keeps_its_luma_and_grey_stays(tmp_path: Path) -> None:
    found = back(patches(RED, GREEN, BLUE, WHITE, mode="RGB"), tmp_path / "colour", channels=1)
    assert found.shape == (8, 8)
    np.testing.assert_allclose(found, quarters(76, 150, 29, 255), atol=1)
    grey = np.arange(64, dtype=np.uint8).reshape(8, 8) * 4
    np.testing.assert_allclose(back(Image.fromarray(grey), tmp_path / "grey", channels=1), grey, atol=1e-4)


def test_levels_are_scaled_from_minus_one_to_one(tmp_path: Path) -> None:
    folder = folder_of(4, tmp_path)
    for name, level in (("x.png", 0), ("y.png", 255)):
        Image.new("L", (9, 9), level).save(folder / name)
    data = images(folder, size=4)
    x = torch.cat([data.split("train").x, data.split("held_out").x])
    assert x.min() == -1 and x.max() == 1


# How the picture must be turned for each of EXIF's orientations to show the original.
TURNS = {
    1: lambda a: a,
    2: np.fliplr,
    3: lambda a: np.rot90(a, 2),
    4: np.flipud,
    5: lambda a: a.transpose(1, 0, 2),
    6: lambda a: np.rot90(a, 1),
    7: lambda a: np.rot90(a, 2).transpose(1, 0, 2),
    8: lambda a: np.rot90(a, -1),
}


@pytest.mark.parametrize("orientation", TURNS)
def test_pictures_stand_as_their_exif_says(orientation: int, tmp_path: Path) -> None:
    upright = quarters(RED, GREEN, BLUE, WHITE).astype(np.uint8)
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = Image.fromarray(np.ascontiguousarray(TURNS[orientation](upright)))
    np.testing.assert_allclose(back(stored, tmp_path, save={"exif": exif}), upright, atol=1e-4)


def test_the_middle_is_kept_and_not_squeezed(tmp_path: Path) -> None:
    wide = np.zeros((8, 24, 3), dtype=np.uint8)
    wide[:, 8:16] = quarters(RED, GREEN, BLUE, WHITE)
    np.testing.assert_allclose(back(Image.fromarray(wide), tmp_path / "w"), wide[:, 8:16], atol=1e-4)
    tall = np.ascontiguousarray(wide.transpose(1, 0, 2))
    np.testing.assert_allclose(back(Image.fromarray(tall), tmp_path / "t"), tall[8:16], atol=1e-4)
    whole = back(Image.fromarray(wide), tmp_path / "both", size=[8, 24])
    np.testing.assert_allclose(whole, wide, atol=1e-4)


def test_shrinking_averages_and_does_not_skip_pixels(tmp_path: Path) -> None:
    board = (np.indices((64, 64)).sum(0) % 2 * 255).astype(np.uint8)
    found = back(Image.fromarray(board), tmp_path, size=4, channels=1)
    np.testing.assert_allclose(found, 127.5, atol=4)


def test_a_large_jpeg_read_at_a_fraction_looks_like_the_whole(tmp_path: Path) -> None:
    u, v = np.meshgrid(np.linspace(0, 3, 700), np.linspace(0, 2, 500))
    waves = (127 + 100 * np.sin(u) * np.cos(v)).astype(np.uint8)
    jpeg = back(Image.fromarray(waves), tmp_path / "j", "a.jpg", size=16, channels=1, save={"quality": 98})
    png = back(Image.fromarray(waves), tmp_path / "p", "a.png", size=16, channels=1)
    np.testing.assert_allclose(jpeg, png, atol=2.5)


def test_the_first_frame_stands_for_an_animation(tmp_path: Path) -> None:
    first, second = (Image.new("RGB", (8, 8), colour) for colour in (RED, BLUE))
    for name in ("a.gif", "a.png", "a.tif"):
        found = back(first, tmp_path / name, name, save={"save_all": True, "append_images": [second]})
        np.testing.assert_allclose(found, np.broadcast_to(RED, (8, 8, 3)), atol=1)


def test_the_split_goes_by_name_and_not_by_the_order_on_disk(tmp_path: Path) -> None:
    names = [f"{'sub/' if i % 2 else ''}p{i}.png" for i in range(20)]
    pixels = np.random.default_rng(0).integers(0, 256, (20, 4, 4, 3), dtype=np.uint8)
    for folder, order in (("one", range(20)), ("two", reversed(range(20)))):
        (tmp_path / folder / "sub").mkdir(parents=True)
        for i in order:
            Image.fromarray(pixels[i]).save(tmp_path / folder / names[i])
    one, two = (images(tmp_path / folder, size=4) for folder in ("one", "two"))
    for part, n in (("train", 18), ("held_out", 2)):
        assert torch.equal(one.split(part).x, two.split(part).x) and len(one.split(part).x) == n
    other = images(tmp_path / "one", size=4, seed=1)
    assert not torch.equal(other.split("held_out").x, one.split("held_out").x)


def test_batches_are_training_pictures_with_the_noise_asked_for(tmp_path: Path) -> None:
    data = images(folder_of(10, tmp_path), size=8, noise=0.1)
    assert data.event == (3, 8, 8) and data.finite
    batch = data.sample(200, torch.Generator().manual_seed(0))
    assert batch.clean is not None and batch.y is None
    train = data.split("train").x
    assert len(torch.cat([batch.clean, train]).flatten(1).unique(dim=0)) == len(train) == 9
    noise = batch.x - batch.clean
    assert float(noise.std()) == pytest.approx(0.1, abs=4 * 0.1 / (2 * noise.numel()) ** 0.5)


def test_decoded_states_are_pictures_between_zero_and_one(tmp_path: Path) -> None:
    folder = folder_of(4, tmp_path)
    for channels, shape in ((1, (5, 8, 6)), (3, (5, 8, 6, 3))):
        data = images(folder, size=[8, 6], channels=channels)
        assert data.event == (channels, 8, 6)
        pictures = data.decode(3 * torch.randn(5, *data.event, generator=torch.Generator().manual_seed(0)))
        assert pictures.shape == shape and pictures.min() == 0 and pictures.max() == 1


def test_files_that_are_no_pictures_and_hidden_ones_are_left_out(tmp_path: Path) -> None:
    folder = folder_of(4, tmp_path)
    for name in ("notes.txt", ".DS_Store", "Thumbs.db", "._p000.png", "model.h5", "drawing.eps", "none"):
        (folder / name).write_bytes(b"no picture")
    for name in ("__MACOSX", ".cache", "folder.png"):
        (folder / name).mkdir()
    for name in ("__MACOSX/._p000.png", ".cache/p000.png"):
        (folder / name).write_bytes(b"no picture")
    data = images(folder, size=4)
    assert len(data.split("train").x) + len(data.split("held_out").x) == 4


def test_pictures_that_cannot_be_read_are_counted_and_the_first_named(tmp_path: Path) -> None:
    folder = folder_of(6, tmp_path)
    whole = (folder / "p000.png").read_bytes()
    broken = {
        "a.png": b"",
        "b.jpg": b"text",
        "c.png": whole[: len(whole) // 2],
        "d.png": png(10_000, 10_000, 8, 0, [b""]),
        "e.png": png(60_000, 60_000, 8, 0, [b""]),
        "f.jpg": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n",
    }
    for name, content in broken.items():
        (folder / name).write_bytes(content)
    Image.fromarray(np.full((8, 8), 7.5, dtype=np.float32)).save(folder / "g.tif")
    with pytest.raises(InputError) as caught:
        images(folder)
    (message,) = caught.value.messages
    assert f"path={folder} has pictures that cannot be read, 7 of 13: a.png (no picture inside), b.jpg (no " in message
    assert "c.png (" in message and "and 4 more" in message and len(message) < 400
    for name in ("a.png", "b.jpg", "c.png"):
        (folder / name).unlink()
    with pytest.raises(
        InputError, match=r"d.png \(more than \d+ pixels\), e.png \(more than \d+ pixels\), f.jpg \(no "
    ):
        images(folder)
    for name in ("d.png", "e.png", "f.jpg"):
        (folder / name).unlink()
    with pytest.raises(InputError, match=r"cannot be read, 1 of 7: g.tif \(gray levels outside 0…1\)"):
        images(folder)


TINY = [
    *("energy=conv", "energy.width=4", "sampler=sgld", "start=replay", "start.size=16", "objective=contrastive"),
    *("objective.steps=2", "objective.delay_steps=0", "trainer.batch_size=8"),
]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("", "data.path must be given"),
        ("data.path=pitcures", "data.path=pitcures does not exist; did you mean 'pictures'?"),
        ("data.path=notes.txt", "data.path=notes.txt is a file; pictures are read from a folder"),
        ("data.path=none", "data.path=none must hold at least 2 pictures, got 0"),
        ("data.path=2024", "data.path=2024 must hold at least 2 pictures, got 1"),
        ("data.path=pictures", "data.path=pictures has pictures that cannot be read, 1 of 4: torn.png ("),
        ("data.path=pictures data.size=[8]", "data.size must be one number or [height, width], got [8]"),
    ],
)
def test_wrong_input_ends_in_exit_code_2_and_a_short_message(words, expected, tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("pictures", "none", "2024"):
        Path(name).mkdir()
    Path("notes.txt").write_text("no picture")
    folder_of(3, Path("pictures"))
    folder_of(1, Path("2024"))
    Path("pictures/torn.png").write_bytes(Path("pictures/p000.png").read_bytes()[:500])
    assert main(["train", "data=images", *words.split(), *TINY, "trainer.steps=2"]) == 2
    err = capsys.readouterr().err
    assert expected in err and "Traceback" not in err
    # A wrong value and a file that cannot be used are both reported.
    assert len(err.strip().splitlines()) == (2 if expected.endswith("got [8]") else 1) and len(err) < 500


def test_a_folder_of_pictures_trains_and_comes_back_as_pictures(tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    Path("pictures").mkdir()
    folder_of(40, Path("pictures"))
    words = ["data=images", "data.path=pictures", "data.size=16"]
    assert main(["train", *words, *TINY, "trainer.steps=3", "out=run"]) == 0
    short = ["sampler=of_run", "chains=6", "steps=2", "burn_in=0", "thin=1"]
    assert main(["sample", "run=run", "start=data", *short, "out=drawn"]) == 0
    files = sorted(Path("drawn/samples").iterdir())
    assert [file.name for file in files] == [f"{i:04d}.png" for i in range(6)]
    states = torch.from_numpy(np.load("drawn/samples.npy"))
    for file, levels in zip(files, images(Path("pictures"), size=16).decode(states) * 255, strict=True):
        with Image.open(file) as picture:
            assert picture.mode == "RGB"
            np.testing.assert_allclose(np.asarray(picture), levels, atol=0.51)


def test_a_grey_picture_is_written_as_grey_and_none_for_a_chain_that_broke(tmp_path: Path) -> None:
    pictures = np.linspace(0, 1, 48).reshape(3, 4, 4)
    pictures[1] = np.nan
    write_images(tmp_path / "samples", pictures, torch.tensor([True, False, True]))
    assert sorted(file.name for file in (tmp_path / "samples").iterdir()) == ["0000.png", "0002.png"]
    with Image.open(tmp_path / "samples" / "0002.png") as picture:
        assert picture.mode == "L"
        np.testing.assert_allclose(np.asarray(picture), pictures[2] * 255, atol=0.51)


@pytest.mark.parametrize("place", ["outputs/train/2026-01-01/00-00-00-x", "mine"])
def test_the_figures_of_a_run_made_beside_the_pictures_are_not_among_them(place: str, tmp_path: Path) -> None:
    folder_of(6, tmp_path)
    alone = images(tmp_path).split("train").x
    made, other = tmp_path / place, tmp_path / "other" / "figures"
    for run, sweep in ((made, made / "sweep"), (other.parent, other.parent / "plan")):
        for folder in (run / "figures", sweep):
            folder.mkdir(parents=True)
            folder_of(1, folder)
    Run(made).write_config({"made": {"verb": "train"}})
    (made / "sweep" / "sweep.yaml").write_text("verb: sample\njobs: []\n")
    # Files of these names that others write make no folder ours.
    (other.parent / "config.yaml").write_text("lr: 0.1\n")
    (other.parent / "plan" / "sweep.yaml").write_text("method: grid\n")
    own = [f"p{i:03d}.png" for i in range(6)]
    assert picture_names(tmp_path) == ["other/figures/p000.png", "other/plan/p000.png", *own]
    shutil.rmtree(tmp_path / "other")
    torch.testing.assert_close(images(tmp_path).split("train").x, alone, rtol=0, atol=0)
    # A run's own folder may still be asked for.
    assert picture_names(made / "figures") == ["p000.png"]
