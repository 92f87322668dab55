"""The documentation: its links lead somewhere, and its tables say what the code says."""

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
from facial_recognition.infra import data
from localaws.services.iam.grants import as_table
from tests.conftest import ROOT
from tests.deploy.policies import FILES, committed

DOCS = ROOT / "docs"
ADDRESSES = {"a": "href", "img": "src", "script": "src", "link": "href", "iframe": "src"}
"""Elements that lead elsewhere or fetch something, and the attributes that say where."""


class Html(HTMLParser):
    """Notes the ids of a page and where it leads."""

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
    """Read Markdown as GitHub shows it."""
    return Html(markdown.markdown(text, extensions=["toc", "tables", "fenced_code"]))


def broken(text: str, source: Path) -> Iterator[str]:
    """Go through the links of a Markdown file within the repository that lead nowhere."""
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
    """Return the rows of all tables of a Markdown file, as they are written."""
    lines = [line for line in path.read_text().splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built pages."""
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
    pages = [*site.glob("index.html"), *site.glob("*/index.html")]

    assert len(pages) == len([*DOCS.glob("*.md")])
    fetched = {address for page in pages for address in Html(page.read_text()).fetched}
    others = {address for address in fetched if urlsplit(address).netloc}
    assert others == set()
    styles = "".join(style.read_text() for style in site.rglob("*.css"))
    assert not re.findall(r"@import|url\(['\"]?(?:https?:)?//", styles)


@pytest.mark.parametrize(
    "source", [ROOT / "README.md", *sorted(DOCS.glob("*.md"))], ids=lambda path: path.name
)
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


def aws_commands() -> Iterator[tuple[str, list[str]]]:
    """Go through what the documentation lets people type to the AWS CLI, as words."""
    for source in (ROOT / "README.md", *DOCS.glob("*.md")):
        blocks = re.findall(r"^```sh\n(.*?)^```", source.read_text(), re.MULTILINE | re.DOTALL)
        for line in "".join(blocks).replace("\\\n", " ").splitlines():
            if found := re.search(r"(?:^|/)aws (.+)", line):
                yield source.name, shlex.split(found[1], comments=True)


def test_the_aws_cli_knows_what_is_typed_to_it() -> None:
    services = create_clidriver()._get_command_table()
    given = list(aws_commands())

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
