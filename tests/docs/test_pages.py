"""The documentation: its links resolve, its commands exist, its tables agree with the code."""

import importlib.util
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import markdown
import msgspec
import pytest
from awscli.clidriver import create_clidriver

from chalicelib.settings import Settings
from facial_recognition.cli.__main__ import main as faces
from facial_recognition.infra import data
from localaws.services.iam.grants import as_table
from tests.deploy.policies import FILES, committed
from tests.support.paths import ROOT

DOCS = ROOT / "docs"
PAGES = sorted(DOCS.rglob("*.md"))
TEXTS = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "localaws").glob("*.md")), *PAGES]
"""Everything that is written for readers: the pages, and the files at the root of each package."""
INSTRUCTIONS = [path for path in TEXTS if path.name != "CHANGELOG.md"]
"""The texts whose commands work today; a changelog also names those of earlier days."""
ADDRESSES = {"a": "href", "img": "src", "script": "src", "link": "href", "iframe": "src"}
"""Elements with an address that is linked or fetched, and the attribute that holds it."""


class Html(HTMLParser):
    """Collects the ids of a page, its links and the addresses that it fetches."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: set[str] = set()
        self.links: list[str] = []
        self.fetched: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value for name, value in attrs if value is not None}
        if "id" in given:
            self.ids.add(given["id"])
        address = given.get(ADDRESSES.get(tag, ""))
        if address is not None:
            (self.links if tag == "a" else self.fetched).append(address)


def shown(text: str) -> Html:
    """Render Markdown as GitHub does."""
    return Html(markdown.markdown(text, extensions=["toc", "tables", "fenced_code"]))


def broken(text: str, source: Path) -> Iterator[str]:
    """Yield the links of a Markdown file that point into the repository and do not resolve."""
    page = shown(text)
    for link in (*page.links, *page.fetched):
        address = urlsplit(link)
        if address.scheme or address.netloc:
            continue
        target = (source.parent / unquote(address.path)).resolve() if address.path else source
        if (
            not target.is_relative_to(ROOT)
            or not target.exists()
            or (address.fragment and address.fragment not in shown(target.read_text()).ids)
        ):
            yield link


def rows(path: Path) -> list[list[str]]:
    """Return the rows of all tables of a Markdown file, as Markdown."""
    lines = [line for line in path.read_text().splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The pages as mkdocs builds them."""
    folder = tmp_path_factory.mktemp("site")
    mkdocs = Path(sys.executable).with_name("mkdocs")

    done = subprocess.run(
        [mkdocs, "build", "--strict", "--quiet", "--site-dir", folder],
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def test_the_pages_are_built_and_fetch_nothing_from_others(site: Path) -> None:
    pages = [*site.rglob("index.html")]

    assert len(pages) == len(PAGES)
    fetched = {address for page in pages for address in Html(page.read_text()).fetched}
    others = {address for address in fetched if urlsplit(address).netloc}
    assert others == set()
    styles = "".join(style.read_text() for style in site.rglob("*.css"))
    assert not re.findall(r"@import|url\(['\"]?(?:https?:)?//", styles)


@pytest.mark.parametrize("source", TEXTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_within_the_repository_lead_somewhere(source: Path) -> None:
    assert list(broken(source.read_text(), source)) == []


def test_a_link_that_leads_nowhere_is_noticed() -> None:
    good = "[a](api.md) [b](security.md#liveness) [c](#settings) [d](https://example.org/x)"
    bad = ["nowhere.md", "#nothing", "security.md#nothing", "gone.png", "../../outside"]
    text = good + "".join(f" [x]({link})" for link in bad) + " ![y](gone.webp)"

    assert list(broken(text, DOCS / "settings.md")) == [*bad, "gone.webp"]


def test_each_alarm_has_its_section() -> None:
    names = set(re.findall(r'AlarmName: !Sub "\$\{Application\}-(.+)"', data.TEMPLATE.read_text()))
    alarms = (DOCS / "operations.md").read_text().split("\n## Alarms\n")[1].split("\n## ")[0]

    assert names
    assert set(re.findall(r"^### (.+)$", alarms, re.MULTILINE)) == names


def test_the_costs_count_every_alarm() -> None:
    alarms = len(re.findall(r"AWS::CloudWatch::Alarm$", data.TEMPLATE.read_text(), re.MULTILINE))
    costs = (DOCS / "deployment.md").read_text()

    assert f"- {alarms} alarms, 0.10 each" in costs
    # The dashboard is one of the account's free three; about fifteen metrics cost 0.30 each.
    assert f"+ {alarms * 0.10 + 15 * 0.30:.2f}`" in costs


def test_each_setting_is_described_with_its_default() -> None:
    described = {row[0]: row[1].strip("` ") for row in rows(DOCS / "settings.md")[2:]}

    def default(value: object) -> str:
        if value is None:
            return ""
        return value if isinstance(value, str) else msgspec.json.encode(value).decode()

    assert described == {
        f"`{field.encode_name}`": default(field.default).removesuffix(".0")
        for field in msgspec.structs.fields(Settings)
    }


def test_the_table_of_grants_is_that_of_the_policies() -> None:
    table = as_table([(function, committed(function)) for function in FILES])

    assert table in (DOCS / "security.md").read_text(), "python -m tests.deploy.policies"


def typed(program: str) -> Iterator[tuple[str, list[str]]]:
    """Yield the commands that the documentation gives to a program in shell blocks, as words."""
    for source in INSTRUCTIONS:
        blocks = re.findall(r"^```sh\n(.*?)^```", source.read_text(), re.MULTILINE | re.DOTALL)
        for line in "".join(blocks).replace("\\\n", " ").splitlines():
            if found := re.search(rf"(?:^|/){program} (.+)", line):
                yield source.name, shlex.split(found[1], comments=True)


def test_the_aws_cli_knows_what_is_typed_to_it() -> None:
    services = create_clidriver()._get_command_table()
    given = list(typed("aws"))

    assert len(given) > 15
    for source, (service, operation, *options) in given:
        known = services[service]
        find = getattr(known, "_get_command_table", lambda known=known: known.subcommand_table)
        assert operation in find(), f"{source}: aws {service} {operation}"
        if operation != "wait":
            arguments = find()[operation].arg_table.items()
            named = {
                f"--{n}" for n, about in arguments if about.required and not about.positional_arg
            }
            assert named <= set(options), f"{source}: aws {service} {operation}"


def test_each_make_target_is_described() -> None:
    targets = set(re.findall(r"^([a-z-]+):.*## ", (ROOT / "Makefile").read_text(), re.MULTILINE))
    described = {row[0] for row in rows(DOCS / "contributing.md")}

    assert {f"`make {target}`" for target in targets - {"help"}} <= described


FENCED = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)


def mentioned(program: str) -> Iterator[tuple[str, list[str]]]:
    """Yield the commands of a program in running text, as words."""
    for source in INSTRUCTIONS:
        for span in re.findall(r"`([^`]+)`", FENCED.sub("", source.read_text())):
            if found := re.match(rf"(?:\.venv/bin/)?{program}\s+(.+)", span, re.DOTALL):
                yield source.name, shlex.split(found[1].replace("…", "x"))


def test_make_knows_what_is_typed_to_it() -> None:
    makefile = (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))
    given = [*typed("make"), *mentioned("make")]

    assert len(given) > 50
    for source, (target, *variables) in given:
        assert target in targets, f"{source}: make {target}"
        for variable in variables:
            name = variable.partition("=")[0]
            assert f"$({name})" in makefile, f"{source}: make {target} {variable}"


def test_faces_knows_what_is_typed_to_it(capsys: pytest.CaptureFixture[str]) -> None:
    given = [*typed("faces"), *mentioned("faces")]

    assert len(given) > 40
    for source, (command, *options) in given:
        arguments = [] if command.startswith("-") else [command]
        assert faces([*arguments, "--help"]) == 0, f"{source}: faces {command}"
        about = capsys.readouterr().out
        for option in (command, *options):
            if option.startswith("--"):
                assert option in about, f"{source}: faces {command} {option}"


def test_localaws_knows_what_is_typed_to_it() -> None:
    helped = subprocess.run(
        [sys.executable, "-m", "localaws", "--help"], capture_output=True, text=True, check=True
    )
    given = [*typed("localaws"), *mentioned("localaws")]

    assert given
    for source, options in given:
        for option in options:
            if option.startswith("--"):
                assert option in helped.stdout, f"{source}: localaws {option}"


def test_python_finds_what_is_typed_to_it() -> None:
    given = [*typed("python"), *mentioned("python")]
    modules = {words[1] for _, words in given if words[0] == "-m"}

    assert len(modules) > 5
    assert {name for name in modules if importlib.util.find_spec(name) is None} == set()


# --- the layout -----------------------------------------------------------------------------


def layout(source: Path) -> Iterator[str]:
    """Yield the paths of the block below the heading Layout; a path below another is indented."""
    block = re.search(r"^## Layout\n+```\n(.*?)^```", source.read_text(), re.MULTILINE | re.DOTALL)
    assert block is not None
    folder = ""
    for line in block[1].splitlines():
        if found := re.match(r"( *)([\w./-]+)  ", line):
            indent, name = found.groups()
            if not indent:
                folder = name
            yield name if not indent else f"{folder}{name}"


@pytest.mark.parametrize("source", [ROOT / "README.md", DOCS / "contributing.md"])
def test_the_layout_names_folders_that_exist(source: Path) -> None:
    folders = [path for path in layout(source) if path.endswith("/")]

    assert len(folders) > 7
    assert [folder for folder in folders if not (ROOT / folder).is_dir()] == []


def test_the_table_of_tests_names_every_folder_of_tests() -> None:
    cells = [row[0] for row in rows(DOCS / "contributing.md")]
    described = set(re.findall(r"`((?:localaws/)?tests(?:/\w+)?)`", " ".join(cells)))
    there = {f"tests/{path.parent.name}" for path in (ROOT / "tests").glob("*/__init__.py")}

    assert described == there | {"localaws/tests"}


def test_the_layout_names_every_module_of_the_application() -> None:
    there = {path.name for path in (ROOT / "chalicelib").glob("*.py")} - {"__init__.py"}
    named = {Path(path).name for path in layout(DOCS / "contributing.md") if path.endswith(".py")}
    table = (DOCS / "architecture.md").read_text().split("\n## Modules\n")[1].split("\n## ")[0]
    in_layers = set(re.findall(r"`(\w+\.py)`", "".join(re.findall(r"^\|.*$", table, re.M))))

    assert named - {"app.py"} == there
    assert in_layers - {"app.py"} == there
