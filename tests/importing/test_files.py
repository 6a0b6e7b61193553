"""Folders and archives as one, and what is refused."""

import stat
import zipfile

import pytest

from savor.errors import DataError
from savor.importing.files import Limits, open_source


def write(tmp_path, data, name="a.zip"):
    path = tmp_path / name
    path.write_bytes(data)
    return path


def test_zips_in_zips_and_folders_look_alike(tmp_path, zipped):
    inner = zipped({"soup/recipe.json": "{}"})
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "one.dat").write_bytes(zipped({"two.zip": inner}))
    source = open_source(folder)
    assert list(source.files) == ["one.dat/two.zip/soup/recipe.json"]
    assert source.files["one.dat/two.zip/soup/recipe.json"].read() == b"{}"


def test_clutter_is_left_out(tmp_path, zipped):
    data = zipped(
        {"__MACOSX/._a.json": "x", "r/.DS_Store": "x", "r/._a.json": "x", "Thumbs.db": "x", "r/a.json": "1"}
    )
    source = open_source(write(tmp_path, data))
    assert list(source.files) == ["r/a.json"]
    assert not source.skipped


def test_names_that_climb_out_stay_inside(tmp_path, zipped):
    source = open_source(
        write(tmp_path, zipped({"../../etc/evil.json": "1", "/root/x.json": "2", "a\\b.json": "3"}))
    )
    assert sorted(source.files) == ["a/b.json", "etc/evil.json", "root/x.json"]


def test_a_bomb_is_refused_unread(tmp_path):
    path = tmp_path / "bomb.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("bomb.json", bytes(17 << 20))
        archive.writestr("fine.json", "{}")
    source = open_source(path)
    assert list(source.files) == ["fine.json"]
    assert "no honest archive" in source.skipped[0].reason


def test_limits_of_size_depth_and_number(tmp_path, zipped):
    path = write(tmp_path, zipped({"a.json": "x" * 100}))
    assert "more than the 50" in open_source(path, Limits(file=50)).skipped[0].reason
    with pytest.raises(DataError, match="more than 50; split"):
        open_source(path, Limits(source=50))
    assert "more than 0 files" in open_source(path, Limits(members=0)).skipped[0].reason
    deep = zipped({"b.zip": zipped({"c.json": "1"})})
    assert "unpack it" in open_source(write(tmp_path, deep), Limits(depth=1)).skipped[0].reason


def test_a_cut_off_zip_is_named(tmp_path, zipped):
    source = open_source(write(tmp_path, zipped({"a.json": "x" * 500})[:60]))
    assert source.skipped[0].source == "a.zip"
    assert "damaged zip" in source.skipped[0].reason


def test_a_damaged_member_is_an_error_with_a_way_out(tmp_path):
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.json", "hello hello")
        archive.writestr("big.json", "0123456789" * 1000)
    path.write_bytes(path.read_bytes().replace(b"hello hello", b"hellO hello"))
    damaged = path.read_bytes()
    end = damaged.rindex(b"0123456789")
    path.write_bytes(damaged[:end] + b"X" + damaged[end + 1 :])
    source = open_source(path)
    assert source.skipped[0].source == "a.json"
    assert "copy it again" in source.skipped[0].reason
    with pytest.raises(DataError, match="copy it again"):
        source.files["big.json"].read()


def test_links_are_not_followed(tmp_path):
    secret = tmp_path / "secret.json"
    secret.write_text("{}")
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "link.json").symlink_to(secret)
    (folder / "up").symlink_to(tmp_path)
    source = open_source(folder)
    assert not source.files
    assert sorted(one.source for one in source.skipped) == ["link.json", "up"]

    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        info = zipfile.ZipInfo("link")
        info.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(info, "/etc/passwd")
    assert "links" in open_source(path).skipped[0].reason


def test_a_password_is_named(tmp_path, zipped):
    data = bytearray(zipped({"a.json": "1"}))
    for mark, place in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.index(mark) + place] |= 1
    assert "password" in open_source(write(tmp_path, bytes(data))).skipped[0].reason


def test_names_in_utf_8_that_say_nothing_of_it(tmp_path, zipped):
    data = zipped({"XXXX.jpg": b"photo"}).replace(b"XXXX", "üé".encode())
    source = open_source(write(tmp_path, data))
    assert source.photo("üé.jpg", "r.json") is not None
    assert source.photo("u\u0308e\u0301.jpg", "r.json") is not None


def test_a_photo_is_found_where_applications_put_it(tmp_path, zipped):
    names = ["_recipes/chard.md", "images/chard.jpg", "other/images/chard.jpg", "images/Café 1.png"]
    source = open_source(write(tmp_path, zipped(dict.fromkeys(names, b"x"))))

    def place(name, near="_recipes/chard.md"):
        picture = source.photo(name, near)
        return picture and picture.name

    assert place("chard.jpg") == "images/chard.jpg"
    assert place("chard") == "images/chard.jpg"
    assert place("/images/chard.JPG?width=3") == "images/chard.jpg"
    assert place("chard.jpg", "other/chard.md") == "other/images/chard.jpg"
    assert place("../images/chard.jpg") == "images/chard.jpg"
    assert place("a/Caf%C3%A9%201.png") == "images/Café 1.png"
    assert place("none.jpg") is None
    assert place("") is None


def test_a_page_takes_photos_from_its_own_folder_only(tmp_path, zipped):
    data = zipped(dict.fromkeys(["Leek.html", "Leek_files/a.jpg", "Cake.html", "b.jpg"], b"x"))
    source = open_source(write(tmp_path, data))
    assert source.photo("https://x.org/img/a.jpg?w=1", "Leek.html").name == "Leek_files/a.jpg"
    assert source.photo("https://x.org/img/a.jpg", "Cake.html") is None
    assert source.photo("https://x.org/img/b.jpg", "Cake.html").name == "b.jpg"


def test_nothing_there(tmp_path):
    with pytest.raises(DataError, match="does not exist"):
        open_source(tmp_path / "nowhere")


def test_the_photo_of_another_recipe_s_folder_is_not_taken(tmp_path, zipped):
    names = [
        "r/leek/index.md",
        "r/leek/a.txt",
        "r/cake/index.md",
        "r/cake/cover.jpg",
        "images/pie.jpg",
        "r/b.jpg",
    ]
    source = open_source(write(tmp_path, zipped(dict.fromkeys(names, b"x"))))
    assert source.photo("cover.jpg", "r/leek/index.md") is None
    assert source.photo("../cake/cover.jpg", "r/leek/index.md").name == "r/cake/cover.jpg"
    assert source.photo("cake/cover.jpg", "r/leek/index.md").name == "r/cake/cover.jpg"
    assert source.photo("cover.jpg", "r/cake/index.md").name == "r/cake/cover.jpg"
    assert source.photo("pie.jpg", "r/leek/index.md").name == "images/pie.jpg"
    assert source.photo("b.jpg", "r/leek/index.md").name == "r/b.jpg"


@pytest.mark.parametrize("name", ["http://[::1", "http://x.org/[a", "%", "//", "?", "a\0b.jpg", "x" * 5000])
def test_odd_names_of_photos_are_no_photos(tmp_path, zipped, name):
    assert open_source(write(tmp_path, zipped({"b.jpg": b"x"}))).photo(name, "r.md") is None


def test_a_photo_with_another_suffix_or_size(tmp_path, zipped):
    source = open_source(
        write(tmp_path, zipped(dict.fromkeys(["p.md", "p/a-300x200.jpg", "p/b.webp"], b"x")))
    )
    assert source.photo("https://x.org/a.jpg", "p.html").name == "p/a-300x200.jpg"
    assert source.photo("b.jpg", "p.md").name == "p/b.webp"
    assert source.photo("a.jpg", "p.md") is None


def test_a_single_file_has_the_photos_that_are_named_like_it(tmp_path):
    (tmp_path / "tea.md").write_text("x")
    for name in ("tea.jpg", "tea.1.jpg", "teapot.jpg", "other.jpg"):
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "tea_files").mkdir()
    (tmp_path / "tea_files" / "pot.png").write_bytes(b"x")
    (tmp_path / "tea_files" / "away.png").symlink_to(tmp_path / "other.jpg")
    source = open_source(tmp_path / "tea.md")
    assert sorted(source.files) == ["tea.1.jpg", "tea.jpg", "tea.md", "tea_files/pot.png"]
