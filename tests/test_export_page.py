import json
import shutil

import numpy as np
import pytest
import test_pages
from app_support import RUN, work_here
from test_export import Hub
from test_pages import button, clean, one_sentence, unescaped

from defemb_core.cache import file_sha256
from defemb_core.export import TARGETS
from defemb_core.export_formats import FORMATS
from defemb_core.export_place import MANIFEST, card_path
from defemb_core.import_table import read_table

_apart, comparison, visit, world = (  # fixtures of the pages' tests
    test_pages._apart, test_pages.comparison, test_pages.visit, test_pages.world,
)  # fmt: skip


@pytest.fixture(autouse=True)
def _here(monkeypatch, world):
    """Exports are done when the click is; those of other tests are not listed."""
    work_here(monkeypatch)
    yield
    shutil.rmtree(world.run / "exports", ignore_errors=True)


def exported(visit, to, out):
    """The page after a click on Export."""
    app = visit("export", format=to, **{f"out-{to}-{RUN}": str(out)})
    return button(app, "Export").click().run()


def test_every_format_is_offered_with_what_reads_it(visit):
    app = clean(visit("export"))
    (choice,) = app.radio
    assert choice.options == list(TARGETS)
    assert list(choice.proto.captions)[1:] == [known.reads for known in FORMATS.values()]
    places = [
        next(box.value for box in clean(visit("export", format=to)).text_input if box.label == "Write to")
        for to in TARGETS
    ]
    assert len(set(places)) == len(TARGETS)


@pytest.mark.parametrize("to", FORMATS)
def test_every_format_is_written_and_says_how_it_is_opened(to, visit, comparison, tmp_path):
    out = tmp_path / "new" / f"table{FORMATS[to].suffix}"
    app = clean(exported(visit, to, out))
    assert str(out) in unescaped(app.success[0].value)
    assert app.code[0].value == FORMATS[to].opens.format(path=out)
    assert not [b for b in app.button if b.label == "Cancel"]  # it goes once there is nothing to cancel
    if not FORMATS[to].needs_maps:
        assert np.array_equal(read_table(out, comparison.plm).matrix, comparison.rebuilt)
    card = json.loads(((out / MANIFEST) if out.is_dir() else card_path(out)).read_text())
    for name, known in card.get("files", {"": card.get("sha256")}).items():
        assert file_sha256(out / name) == known


def test_a_checkpoint_says_that_the_rest_is_the_original_s_and_can_be_uploaded(visit, tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.HfApi", Hub)
    monkeypatch.setattr(Hub, "asked", [])
    out = tmp_path / "made"
    app = clean(exported(visit, "checkpoint", out))
    assert any("tensors are the original" in text.value for text in app.markdown)
    listed = next(unescaped(text.value) for text in app.markdown if "and nothing else" in text.value)
    assert all(file.name in listed for file in out.iterdir())
    next(box for box in app.text_input if box.label == "Repository").input("me/rebuilt")
    next(box for box in app.text_input if box.label == "Token").input("hf_secret")
    clean(button(app, "Upload").click().run())
    assert Hub.asked[0][:2] == ("hf_secret", "me/rebuilt")
    assert "hub.example/me/rebuilt" in unescaped(app.success[-1].value)


def test_an_upload_that_fails_is_one_sentence(visit, tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.HfApi", Hub)
    app = clean(exported(visit, "static", tmp_path / "made"))
    next(box for box in app.text_input if box.label == "Repository").input("no name")
    button(app, "Upload").click().run()
    assert one_sentence(app) == "'no name' is no hub name; write 'owner/name'"
