"""Read the text of the elements of a page, whatever their markup."""

from html.parser import HTMLParser

VOID = {"img", "br", "meta", "link", "hr", "input"}


class Reader(HTMLParser):
    """Collects the text of every element, including the elements inside it."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[tuple[str, str, list[str]]] = []
        self.elements: list[tuple[str, str, str]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in VOID:
            self.open.append((tag, dict(attrs).get("class") or "", []))

    def handle_endtag(self, tag: str) -> None:
        while self.open:
            name, classes, parts = self.open.pop()
            self.elements.append((name, classes, " ".join("".join(parts).split())))
            if name == tag:
                break

    def handle_data(self, data: str) -> None:
        for _, _, parts in self.open:
            parts.append(data)


def texts(page: str, tag: str, class_: str = "") -> list[str]:
    """Return the text of each element with this tag and, if it is given, this class."""
    reader = Reader()
    reader.feed(page)
    return [
        text for name, classes, text in reader.elements if name == tag and (not class_ or class_ in classes.split())
    ]
