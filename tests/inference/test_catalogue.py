"""The catalogue says of every checkpoint what its users must know, and refuses what is no entry."""

import re
import tomllib
from collections import Counter
from pathlib import Path

import pytest

from corpus.ingest import SEED
from inference import checkpoints
from inference.errors import BadInput, Unavailable

ENTRIES = tomllib.loads(checkpoints.BUNDLED.read_text(encoding="utf-8"))["checkpoint"]
CATALOGUE = checkpoints.load_catalogue()
DOCS = Path(__file__).parents[2] / "docs"
ENVIRONMENTS = {"main", "xray", "openclip", "brain", "totalsegmentator", "diffusers", "vllm", "chexagent", "example"}
NOT_FOR_MONEY = ("-NC-", "research", "Research", "academic")
WANTED = {
    *("qwen3-vl-8b-instruct", "lingshu-7b", "medgemma-1.5-4b-it", "medgemma-27b-it", "hulu-med-7b", "maira-2"),
    *("chexagent-2-3b", "torchxrayvision-densenet121-all", "torchxrayvision-pspnet", "biomedclip", "medsiglip-448"),
    *("siglip-base-patch16-224", "clip-vit-base-patch32", "sam-vit-base", "sam2.1-hiera-tiny", "medsam-vit-base"),
    *("medsam2", "biomedparse", "totalsegmentator-ct", "totalsegmentator-mr", "nninteractive", "deepbet"),
    *("grounding-dino-tiny", "owlv2-base-patch16-ensemble", "swin2sr-classical-x2", "stable-diffusion-v1-5"),
    *("all-minilm-l6-v2", "ms-marco-minilm-l6-v2"),
}


def test_every_checkpoint_that_users_want_is_there_once():
    counted = Counter(entry["key"] for entry in ENTRIES)
    assert [key for key, count in counted.items() if count > 1] == []
    assert set(counted) >= WANTED


def test_every_paper_is_one_of_the_bundled_literature():
    papers = {made.paper for made in CATALOGUE.values() if made.paper}
    bundled = SEED.read_text(encoding="utf-8")
    assert [key for key in sorted(papers) if f'"key": "{key}"' not in bundled] == []
    assert len(papers) >= 8


def test_every_licence_is_said_and_one_that_forbids_commerce_is_marked():
    assert [made.key for made in CATALOGUE.values() if not made.licence.strip()] == []
    restricted = {m.key for m in CATALOGUE.values() if any(word in m.licence for word in NOT_FOR_MONEY)}
    assert restricted == {made.key for made in CATALOGUE.values() if not made.commercial}
    assert all("not for commercial use" in CATALOGUE[key].licence_words for key in restricted)


def test_every_checkpoint_says_where_it_comes_from_and_where_it_runs():
    for made in CATALOGUE.values():
        kind, _, rest = made.source.partition(":")
        assert made.built_in or (kind in ("hf", "url", "package", "folder") and rest), made.key
        assert made.environment in ENVIRONMENTS, made.key
        assert not rest.startswith("/"), made.key
        assert all(len(line) == 64 for line in made.sha256.values()), made.key


def test_only_labels_that_the_weights_were_trained_on_are_named():
    labels = CATALOGUE["torchxrayvision-densenet121-rsna"].labels
    assert labels == ("Pneumonia", "Lung Opacity")
    assert len(CATALOGUE["torchxrayvision-densenet121-all"].labels) == 18
    assert all("" not in made.labels for made in CATALOGUE.values())


def test_a_published_score_names_its_source():
    for made in CATALOGUE.values():
        assert all("by its authors" in s or "README" in s or "another metric" in s for s in made.published), made.key


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ('[[checkpoint]]\nkey = "a"\nroles = ["vqa"]', "missing"),
        ('[[checkpoint]]\nkey = "a"', "names no role"),
        ('[[checkpoint]]\nkey = "../a"', "is no key"),
        ('[[checkpoint]]\nkey = "a"\ncolour = 1', "colour is no field"),
        ('[[checkpoint]]\nkey="a"\nname="a"\nroles=["cook"]\nbackend="x"\nlicence="MIT"\nsource="built-in"', "cook"),
        ("[[checkpoint", "cannot be read"),
        ('checkpoint = "a"', "cannot be read"),
    ],
)
def test_a_catalogue_that_cannot_be_read_says_which_and_why(tmp_path, text, what):
    path = tmp_path / "mine.toml"
    path.write_text(text)
    with pytest.raises(Unavailable, match=r"mine\.toml cannot be read") as caught:
        checkpoints.load_catalogue(path)
    assert what in str(caught.value)


def test_the_examples_of_the_documentation_are_entries():
    blocks = re.findall(r"```toml\n(.*?)```", (DOCS / "models.md").read_text(encoding="utf-8"), re.DOTALL)
    made = [checkpoints.parse(entry) for block in blocks for entry in tomllib.loads(block)["checkpoint"]]
    assert {one.backend for one in made} >= {"hf-classifier", "onnx", "torchscript"}
    assert all(checkpoints.has_backend(one.backend) for one in made)


def test_an_entry_of_ones_own_replaces_the_bundled_one(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(
        f'[[checkpoint]]\nkey="sam-vit-base"\nname="mine"\nroles=["prompted-segment"]\nbackend="sam"\n'
        f'licence="MIT"\nsource="folder:{tmp_path}"\n'
    )
    found = checkpoints.checkpoint("sam-vit-base", path)
    assert (found.name, found.folder(Path("elsewhere"))) == ("mine", tmp_path)
    with pytest.raises(BadInput, match="no checkpoint 'cook'"):
        checkpoints.checkpoint("cook", path)


def test_what_is_missing_is_said_in_the_order_in_which_it_is_got(tmp_path):
    made = CATALOGUE["maira-2"]
    assert "no backend maira-2" in checkpoints.why_not(made, tmp_path, tmp_path)
    entry = {"key": "a", "name": "a", "roles": ["classify"], "backend": "lungs", "licence": "MIT", "source": "hf:a/b"}
    elsewhere = checkpoints.parse({**entry, "environment": "xray"})
    assert checkpoints.why_not(elsewhere, tmp_path, tmp_path).endswith("manage.py models environment xray")
    here = checkpoints.parse(entry)
    assert checkpoints.why_not(here, tmp_path, tmp_path).endswith("manage.py models pull a")
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / checkpoints.PARTIAL).touch()
    assert "in part" in checkpoints.why_not(here, tmp_path, tmp_path)
    (tmp_path / "a" / checkpoints.PARTIAL).rename(tmp_path / "a" / "model.safetensors")
    assert checkpoints.why_not(here, tmp_path, tmp_path) == ""
    packaged = checkpoints.parse({**entry, "source": "package:no_such_package"})
    assert "no_such_package is not installed" in checkpoints.why_not(packaged, tmp_path, tmp_path)
