"""What a reader sees of a page: the text of its elements, whatever their markup."""

from html.parser import HTMLParser

VOID = {"img", "br", "meta", "link", "hr", "input"}


class Reader(HTMLParser):
    """Collects the text of every element, with that of the elements inside."""

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
    """Return the text of each element of a tag, of those that have a class if one is given."""
    reader = Reader()
    reader.feed(page)
    return [
        text for name, classes, text in reader.elements if name == tag and (not class_ or class_ in classes.split())
    ]
